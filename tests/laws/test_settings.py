"""Every setting has its effect: two values of it on the real path, and what they change in a run and what not.

A setting without a law fails `test_every_setting_has_a_law` by name.
"""

import dataclasses
import functools
import itertools
import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.closeness import close
from tests.laws.conftest import SOURCES, TARGETS, sharpen, tiny_pairs, write_tsv
from tests.runs import PLAIN
from wordseq.batches.prepare import prepare_corpus
from wordseq.config import auto
from wordseq.config.load import load_config
from wordseq.config.schema import SECTIONS, Config
from wordseq.data.splits import HeldOut
from wordseq.decoding.translator import Translator
from wordseq.evaluation.evaluate import evaluate_run
from wordseq.models.seq2seq import Seq2Seq
from wordseq.runs.checkpoint import sha256_of
from wordseq.runs.folder import BEST, LAST, PRETRAINED, RunFolder
from wordseq.system.errors import UserError
from wordseq.system.platform import parts
from wordseq.text.vocab import EOS_ID, PAD_ID
from wordseq.training.loop import Validation
from wordseq.training.run import train_run
from wordseq.training.step import Trainer
from wordseq.training.validation import Validator

TINY = (
    *PLAIN,
    *("data.train=pairs.tsv", "data.dev_size=2", "data.test_size=2", "data.min_freq=1"),
    *("model.cell=rnn", "model.embed_dim=4", "model.hidden_size=4", "model.attention=dot", "model.bidirectional=false"),
    *("train.batch_size=80", "train.max_steps=1", "train.log_steps=1", "train.precision=float32", "train.shards=1"),
    *(
        "train.optimizer=sgd",
        "train.learning_rate=0.01",
        "decode.max_len_ratio=0",
        "decode.max_len_extra=3",
        "eval.tokenize=13a",
    ),
)
TRAINED = (*TINY, "decode.max_len_extra=1")
CHINESE = {ord(letter): chr(ord("一") + k) for k, letter in enumerate("abcdefghijklmnopqrstuvwxyz")} | {ord(" "): None}
TEXTS = ["one two three", "eight", "five five two six", "nine", "six one", "Zork four nine seven eight"]


@dataclasses.dataclass(frozen=True)
class Law:
    """What follows from another value of a setting.

    Attributes:
        value: set beside what the other run has.
        changes: what differs between the two, by the names of `outcome` or `prepared`.
        keeps: what is the same.
        given: settings of both, `key=value`.
        to: what the second run must have, exactly or nearly.
    """

    value: str
    changes: str
    keeps: str = ""
    given: tuple[str, ...] = ()
    to: Mapping[str, Any] = dataclasses.field(default_factory=dict)


@pytest.fixture(scope="module", autouse=True)
def folder(tmp_path_factory):
    """The working directory: the corpus in the forms that laws need, and the runs."""
    folder = tmp_path_factory.mktemp("settings")
    pairs = tiny_pairs()
    write_tsv(folder / "pairs.tsv", pairs)
    write_tsv(folder / "other.tsv", pairs[20:])
    write_tsv(folder / "chinese.tsv", [(src, tgt.translate(CHINESE)) for src, tgt in pairs])
    write_tsv(folder / "bad.tsv", [*pairs, ("one", "a\tb\tc"), ("", "leer")])
    write_tsv(folder / "words.tsv", [(f"Don't {src}, x-ray", f"{tgt} B.C.") for src, tgt in pairs])
    write_tsv(folder / "quoted.tsv", [(f'"{src}"', f'"{tgt}"') for src, tgt in pairs])
    (folder / "latin.tsv").write_text("".join(f"é {src}\t{tgt}\n" for src, tgt in pairs), encoding="cp1252")
    # The third has the words of both others, so that the tokens of one side change, and no pair is lost.
    thirds = [(src, tgt, f"{tgt} {src}") for src, tgt in pairs]
    rows = [("first", "second", "third"), *thirds]
    (folder / "table.tsv").write_text("".join("\t".join(row) + "\n" for row in rows))
    tags = [(*row, f"V;{row[1][0]}+{k % 2}") for k, row in enumerate(pairs)]
    rows = [("first", "second", "third"), *tags]
    (folder / "inflected.tsv").write_text("".join("\t".join(row) + "\n" for row in rows))
    nested = [{"translation": dict(zip(("en", "fr", "de"), row, strict=True))} for row in thirds]
    (folder / "nested.jsonl").write_text("".join(json.dumps(row) + "\n" for row in nested))
    for part, some in (("train", pairs[16:]), ("dev", pairs[:8]), ("test", pairs[8:16])):
        for side, k in (("src", 0), ("tgt", 1)):
            lines = [f"{pair[k]}\n" for pair in some]
            (folder / f"{part}.{side}").write_text("".join(lines))
            (folder / f"{part}2.{side}").write_text("".join(reversed(lines)))
    for side, words in (("src", SOURCES), ("tgt", TARGETS.values())):
        (folder / f"{side}.vec").write_text("".join(f"{word} 9 8 7 6\n" for word in words))
    with pytest.MonkeyPatch.context() as patched:
        patched.chdir(folder)
        yield folder


NUMBERS = itertools.count(1)


@functools.cache
def prepared(*settings: str) -> dict[str, Any]:
    """What `train` makes of the data."""
    # Another source of data takes the place of the path.
    other = any(text.startswith("data.corpus=") for text in settings)
    base = [text for text in TINY if not (other and text.startswith("data.train="))]
    config = load_config(None, [*base, *settings])
    try:
        found = prepare_corpus(config.data, Path("prepared"), say=lambda line: None)
    except UserError as error:
        return {"error": str(error)}
    stores, codecs = found.stores, found.codecs
    return {
        "error": "",
        "counts": [part | {"reading": None} for part in found.split["counts"]["parts"].values()],
        "unused": found.split["counts"]["unused_pairs"],
        "pairs": len(stores[0]),
        "dev": found.dev,
        "test": found.test,
        "train": found.split["train"]["sha256"],
        "src text": [codecs[0].to_text(list(ids)) for ids in stores[0]],
        "tgt text": [codecs[1].to_text(list(ids)) for ids in stores[1]],
        "src tokens": codecs[0].sha256,
        "tgt tokens": codecs[1].sha256,
        "src size": len(codecs[0].vocab),
        "tgt size": len(codecs[1].vocab),
    }


def outcome(*settings: str) -> dict[str, Any]:
    """The result of a real training, and its steps.

    Validation is real with the default settings, and if decoding differs from them.
    """
    config, usual = (load_config(None, [*TRAINED, *given]) for given in (settings, ()))
    return _outcome(config, config == usual or config.decode != usual.decode)


@functools.cache
def _outcome(config: Config, validated: bool) -> dict[str, Any]:
    folder = Path(f"run{next(NUMBERS)}")
    rows, saves, order, fed, fed_by = [], [], [], [], []
    encode, save, update_fed = Seq2Seq.encode, RunFolder.save, Trainer.update_fed

    def watched_encode(model, src_ids_bs, training=False):
        if training:
            rows.append(int(src_ids_bs.shape[0]))
            order.append(src_ids_bs.numpy().tolist())
        return encode(model, src_ids_bs, training)

    def watched_update(trainer, src_ids_bs, tgt_ids_bt, share, seed):
        fed.append(float(share))
        fed_by.append(seed.tolist())
        return update_fed.__get__(trainer, Trainer)(src_ids_bs, tgt_ids_bt, share, seed)

    def watched_save(run, name, *content):
        saves.append(name)
        return save(run, name, *content)

    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(Seq2Seq, "encode", watched_encode)
        patched.setattr(RunFolder, "save", watched_save)
        patched.setattr(Trainer, "update_fed", watched_update)
        if not validated:
            patched.setattr(Validator, "__call__", lambda self: Validation({"bleu": 0.0}, 1.0, []))
        progress = train_run(config, folder, say=lambda line: None)
    run = RunFolder(folder)
    log = list(run.metrics())
    train = [entry for entry in log if entry["kind"] == "train"]
    best = run.load(BEST)[0]
    last = run.load(LAST)[0]
    return {
        "run": run,
        "weights": sha256_of({name: last[name] for name in best}),
        "best": sha256_of(best),
        "shapes": {name: array.shape for name, array in best.items()},
        "steps": [entry["step"] for entry in train],
        "first loss": train[0]["loss"],
        "norms": [entry["gradient_norm"] for entry in train],
        "first norm": train[0]["gradient_norm"],
        "rates": [entry["learning_rate"] for entry in train],
        "tokens": [entry["tokens"] for entry in train],
        "shares": [entry.get("teacher_forcing") for entry in train],
        "epochs": [entry["epoch"] for entry in train],
        "looks": [entry["step"] for entry in log if entry["kind"] == "dev"],
        "updates": progress.step,
        "reason": progress.finished,
        "parts": rows,
        "order": order,
        "fed": fed,
        "fed by": fed_by,
        "draws": [last[name].tolist() for name in last if name.startswith("seeds/")],
        "saves": saves.count(LAST),
        "files": sorted(path.name for path in folder.iterdir()),
    }


FROZEN = ("train.optimizer=sgd", "train.learning_rate=1e-20", "train.max_steps=3", "train.validate_steps=1")
"""Nothing is learned, so every validation is as good as the first, and none is better."""
FALLING = ("train.teacher_forcing=0.1", "train.teacher_forcing_schedule=linear", "train.teacher_forcing_decay=2")
LONG = ("train.max_steps=2", "train.validate_steps=99")
EVERYTHING = "weights, steps, looks, rates, tokens, first loss, norms"
SPLIT = tuple(f"data.{part}={part}.src,{part}.tgt" for part in ("train", "dev", "test"))


def given_split(part: str) -> Law:
    """Another file of sources, with the lines the other way round."""
    return Law(f"{part}2.src,{part}.tgt", part, ", ".join({"train", "dev", "test"} - {part}), SPLIT)


TABLE = ("data.train=table.tsv", "data.src_column=first", "data.tgt_column=second")
NESTED = ("data.train=nested.jsonl", "data.src_lang=en", "data.tgt_lang=fr")

SUBWORDS = ("data.src_level=bpe", "data.tgt_level=unigram", "data.subword_size=310")

INFLECTED = ("data.train=inflected.tsv", "data.src_column=first", "data.tgt_column=second")
ACCENTS = ("data.train=latin.tsv", "data.encoding=cp1252")

DATA = {
    "corpus": Law("copy", "train, src tokens"),
    "train": Law("other.tsv", "train, pairs"),
    "dev": given_split("dev"),
    "test": given_split("test"),
    "format": Law("tsv", "train, src text", "pairs", ("data.train=quoted.tsv",)),
    "encoding": Law("cp1252", "error", given=("data.train=latin.tsv",), to={"error": ""}),
    "src_column": Law("third", "train, src tokens", "counts", TABLE),
    "tgt_column": Law("third", "train, tgt tokens", "src tokens, counts", TABLE),
    "features_column": Law("third", "train, src tokens, src size, src text", "tgt tokens, tgt text, pairs", INFLECTED),
    "features_separator": Law(
        "+", "src tokens, src size", "tgt tokens, train, dev, test", (*INFLECTED, "data.features_column=third")
    ),
    "header": Law("yes", "counts"),
    "src_lang": Law("de", "train, src tokens", "counts", NESTED),
    "tgt_lang": Law("de", "train, tgt tokens", "src tokens, counts", NESTED),
    "swap": Law("true", "train, src tokens, tgt tokens"),
    "level": Law("char", "src tokens, tgt tokens", "train, dev, test"),
    "src_level": Law("char", "src tokens", "tgt tokens, train, dev, test"),
    "tgt_level": Law("char", "tgt tokens", "src tokens, train, dev, test"),
    "min_freq": Law("30", "src tokens, tgt tokens", "train, dev, test, pairs"),
    "max_size": Law("5", "src size, tgt size", "train, dev, test", to={"src size": 4 + 5, "tgt size": 4 + 5}),
    "rare_words": Law(
        "spell",
        "src tokens, tgt tokens, src size, tgt size, src text, tgt text",
        "train, dev, test",
        ("data.min_freq=30",),
    ),
    "subword_size": Law(
        "310", "src size, tgt size", "train, dev, test", given=("data.level=bpe", "data.train=words.tsv")
    ),
    "share_vocab": Law("true", "src tokens, tgt tokens, src size, tgt size", "train, dev, test, src text, tgt text"),
    "pretokenized": Law("true", "src tokens, tgt tokens", "train, dev, test", given=("data.train=words.tsv",)),
    "src_separator": Law(" f", "src tokens", "tgt tokens, train, dev, test"),
    "tgt_separator": Law(" q", "tgt tokens", "src tokens, train, dev, test"),
    "src_form": Law("NFD", "src tokens", "tgt tokens, src text, train, dev, test", ACCENTS),
    "tgt_form": Law("NFD", "tgt tokens", "src tokens, tgt text, train, dev, test", (*ACCENTS, "data.swap=true")),
    "lowercase": Law("true", "src tokens, tgt tokens, train", "counts", ("data.train=words.tsv",)),
    "max_chars": Law("14", "train, pairs, counts"),
    "on_bad_line": Law("skip", "error", given=("data.train=bad.tsv",), to={"error": ""}),
    "dev_size": Law("5", "dev, pairs", "test, counts"),
    "test_size": Law("5", "test, pairs", "counts"),
    "max_pairs": Law("9", "train, pairs, unused", "dev, test", to={"pairs": 9}),
    "seed": Law("2", "train, dev, test", "counts"),
}
MODEL = {
    "kind": Law("repeat_vector", "shapes, first loss, weights", "tokens, rates", ("model.attention=none",)),
    "cell": Law("gru", "shapes, first loss", "tokens, rates"),
    "embed_dim": Law("6", "shapes, first loss", "tokens, rates"),
    "embed_scale": Law("0.1", "first loss", "shapes, tokens, rates"),
    "hidden_size": Law("6", "shapes, first loss", "tokens, rates"),
    "encoder_layers": Law("2", "shapes, first loss", "tokens, rates"),
    "decoder_layers": Law("2", "shapes, first loss", "tokens, rates"),
    "residual": Law("true", "first loss", "shapes, tokens", ("model.encoder_layers=2",)),
    "bidirectional": Law("true", "shapes, first loss", "tokens, rates"),
    "bridge": Law("zero", "first loss", "shapes, tokens"),
    "attention": Law("none", "shapes, first loss", "tokens, rates"),
    "attention_map": Law("sparsemax", "first loss", "shapes, tokens, rates"),
    "dropout": Law("0.6", "first loss", "shapes, tokens"),
    "embed_dropout": Law("0.6", "first loss", "shapes, tokens"),
    "word_dropout": Law("0.6", "first loss", "shapes, tokens"),
    "context_dropout": Law("0.6", "first loss", "shapes, tokens"),
    "output_dropout": Law("0.6", "first loss", "shapes, tokens"),
    "recurrent_dropout": Law("0.6", "first loss", "shapes, tokens"),
    "peek": Law("true", "shapes, first loss", "tokens, rates"),
    "input_feeding": Law("true", "shapes, first loss", "tokens, rates"),
    "features": Law("separate", "shapes, first loss", "tokens, rates", (*INFLECTED, "data.features_column=third")),
    "copy": Law("true", "shapes, first loss", "tokens, rates"),
    "tie_embeddings": Law("true", "shapes, first loss", "tokens, rates"),
    "share_embeddings": Law("true", "shapes, first loss", "tokens, rates", ("data.share_vocab=true",)),
    "pretrained_src": Law("src.vec", "first loss, files", "shapes, tokens"),
    "pretrained_tgt": Law("tgt.vec", "first loss, files", "shapes, tokens"),
    "freeze_pretrained": Law("true", "weights", "first loss, shapes", ("model.pretrained_src=src.vec",)),
}
TRAIN = {
    # Nothing is learned: the weights are those of the start.
    "seed": Law("2", "weights, order, draws", "shapes, rates", FROZEN),
    "max_epochs": Law("1", "updates, steps, reason", "first loss", LONG, {"epochs": [1]}),
    "max_steps": Law("2", "updates, steps, reason, weights", "first loss", to={"updates": 2}),
    "max_minutes": Law("1e-9", "updates, reason", "first loss", LONG, {"updates": 1}),
    "batch_tokens": Law("20", "tokens, first loss", "shapes"),
    "batch_size": Law("18", "tokens, first loss", "shapes", to={"parts": [32]}),
    "optimizer": Law("adam", "weights", "first loss, norms, rates, tokens"),
    "learning_rate": Law("0.02", "weights, rates", "first loss, norms, tokens", to={"rates": [0.02]}),
    "weight_decay": Law("0.5", "weights", "first loss, norms, rates", ("train.optimizer=adamw",)),
    "schedule": Law("exponential", "rates", "tokens", LONG, {"rates": [0.01, 0.005]}),
    "warmup_steps": Law("4", "rates, weights", "first loss, norms", to={"rates": [0.0025]}),
    "decay": Law("0.1", "rates", "looks", FROZEN, {"rates": [1e-20, 1e-20, 1e-21]}),
    "decay_patience": Law("2", "rates", "looks", FROZEN, {"rates": [1e-20, 1e-20, 1e-20]}),
    "clip_norm": Law("0.01", "weights", "first loss, norms, rates", ("train.optimizer=sgd",)),
    "average": Law("0.9", "best", EVERYTHING),
    "loss": Law("entmax15", "first loss, norms, weights", "shapes, tokens, rates"),
    "label_smoothing": Law("0.3", "weights, norms", "first loss, rates, tokens"),
    "subword_sampling": Law("0.5", "tokens, first loss, order", "shapes, rates, files", SUBWORDS),
    "precision": Law("bfloat16", "first loss, weights", "shapes, tokens, rates"),
    "shards": Law("2", "parts", "tokens, rates", to={"parts": [48, 48]}),
    "teacher_forcing": Law("0", "weights, first loss, shares", "tokens, rates", to={"shares": [0.0], "fed": [0.0]}),
    "teacher_forcing_schedule": Law(
        "exponential",
        "shares",
        "tokens",
        (*FALLING, "train.max_steps=2"),
        {"shares": [1.0, 0.6065306597], "fed": [0.6065306597]},
    ),
    "teacher_forcing_decay": Law(
        "4", "shares", "tokens", (*FALLING, "train.max_steps=2"), {"shares": [1.0, 0.75], "fed": [0.75]}
    ),
    "select_by": Law("loss", "reason", EVERYTHING, (*FROZEN, "train.patience=1"), {"updates": 2}),
    "validate_steps": Law("1", "looks", "steps, rates, first loss, weights", LONG, {"looks": [1, 2]}),
    "patience": Law("1", "updates, reason", "first loss", FROZEN, {"updates": 2}),
    "save_minutes": Law("1e-9", "saves", EVERYTHING, LONG),
    "log_steps": Law("2", "steps", "weights, looks, updates", LONG, {"steps": [2]}),
}
DECODE = {
    "beam_size": Law("4", "texts, scores", "batches"),
    "length_penalty": Law("0", "scores", "batches", ("decode.beam_size=4",)),
    "max_len_ratio": Law("1", "tokens", "batches"),
    "max_len_extra": Law("6", "tokens", "batches"),
    "batch_size": Law("2", "batches", "texts, tokens", to={"batches": [2, 2, 2]}),
    "precision": Law("bfloat16", "scores", "batches"),
    # Set in both, so that both are of an ensemble.
    "ensemble": Law("log_probabilities", "scores", "batches", ("decode.ensemble=probabilities",)),
    "copy_unknown": Law("false", "texts", "scores, tokens, unknown, batches"),
}
EVAL = {"tokenize": Law("none", "dev bleu, test bleu, signature, note", "texts, chrf", ("decode.copy_unknown=false",))}
LAWS = {"data": DATA, "model": MODEL, "train": TRAIN, "decode": DECODE, "eval": EVAL}


@functools.cache
def decoded(*settings: str) -> dict[str, Any]:
    """What a run whose config.toml has these settings makes of texts; its weights are drawn so large that outputs differ.

    With `decode.ensemble`, what it makes of them together with another.
    """
    run = outcome()["run"]
    sharpen(run, BEST, 3)
    run.write_config(load_config(None, [*TINY, *settings]))
    folders = [run.folder]
    if any(setting.startswith("decode.ensemble=") for setting in settings):
        folders.append(outcome("train.seed=2")["run"].folder)
        sharpen(RunFolder(folders[1]), BEST, 4)
    batches: list[int] = []
    encode = Seq2Seq.encode

    def watched(model, src_ids_bs, training=False):
        batches.append(int(src_ids_bs.shape[0]))
        return encode(model, src_ids_bs, training)

    with pytest.MonkeyPatch.context() as patched:
        translator = Translator.load(folders)
        patched.setattr(Seq2Seq, "encode", watched)
        found = [hypotheses[0] for hypotheses in translator.translate(TEXTS)]
    return {
        # Those with <unk> are read again, in smaller batches, which may come before another thread's first one.
        "batches": sorted(batches, reverse=True)[: -(-len(TEXTS) // translator.config.decode.batch_size)],
        "texts": [hypothesis.text for hypothesis in found],
        "scores": [hypothesis.score for hypothesis in found],
        "tokens": [hypothesis.tokens for hypothesis in found],
        "unknown": [hypothesis.unknown for hypothesis in found],
    }


@functools.cache
def scored(*settings: str) -> dict[str, Any]:
    """What validation and evaluation make of outputs whose references differ from them at a full stop."""
    run = outcome()["run"]
    sharpen(run, BEST, 3)
    run.write_config(load_config(None, [*TINY, *settings]))
    translator = Translator.load(run.folder)
    texts = [found[0].text for found in translator.translate(TEXTS)]
    held_out = HeldOut(TEXTS, [[f"{text} x.y"] for text in texts])
    found = evaluate_run(run, held_out, "given")
    return {
        "dev bleu": Validator(translator, held_out)().scores["bleu"],
        "test bleu": found.bleu.score,
        "signature": found.bleu.signature,
        "note": found["notes"][0],
        "chrf": found.chrf.score,
        "texts": run.read_lines("eval/given.hyp"),
    }


OBSERVED: Mapping[str, Callable[..., dict[str, Any]]] = {
    "data": prepared, "model": outcome, "train": outcome, "decode": decoded, "eval": scored
}  # fmt: skip
ALL = [(section, key) for section, laws in LAWS.items() for key in laws]


def test_every_setting_has_a_law():
    for section, kind in SECTIONS.items():
        names = {field.name for field in dataclasses.fields(kind)}
        assert LAWS[section].keys() == names, f"[{section}]: write a law for each setting, and for none that is gone"


@pytest.mark.parametrize(("section", "key"), ALL)
def test_a_setting_changes_only_what_it_is_for(section, key):
    law, observe = LAWS[section][key], OBSERVED[section]
    one, other = observe(*law.given), observe(*law.given, f"{section}.{key}={law.value}")
    for name in law.changes.split(", "):
        assert one[name] != other[name], f"{section}.{key} = {law.value} does not change: {name}"
    for name in law.keeps.split(", ") if law.keeps else []:
        assert same(one[name], other[name]), f"{section}.{key} = {law.value} changes: {name}"
    for name, value in law.to.items():
        assert same(other[name], value), f"{section}.{key} = {law.value}: {name}"


def same(one, other):
    """Equal; of floats, but for rounding."""
    if isinstance(one, float) or (isinstance(one, list) and any(isinstance(value, float) for value in one)):
        return one == pytest.approx(other, rel=1e-5, abs=1e-30)
    return one == other


@pytest.mark.parametrize(
    ("key", "given"),
    [
        ("model.kind", ("model.attention=none",)),
        ("model.attention", ()),
        ("model.attention_map", ()),
        ("train.loss", ()),
        ("model.bridge", ()),
        ("train.optimizer", ("train.weight_decay=0.5",)),
    ],
)
def test_no_two_choices_of_a_setting_are_equal(key, given):
    section, _, name = key.partition(".")
    (field,) = (field for field in dataclasses.fields(SECTIONS[section]) if field.name == name)
    found = [outcome(*given, f"{key}={choice}") for choice in field.metadata["choices"]]
    assert len({(str(one["shapes"]), one["weights"]) for one in found}) == len(found) > 2


def test_bad_lines_of_word_vectors_stop_or_are_skipped_as_those_of_pairs():
    given = []
    for side in ("src", "tgt"):
        Path(f"bad.{side}.vec").write_text(Path(f"{side}.vec").read_text() + "zwei 9 8 7\n")
        given.append(f"model.pretrained_{side}=bad.{side}.vec")
        with pytest.raises(UserError, match=r"vec:9: 3 numbers, expected 4 after a word"):
            outcome(given[-1])
    found, _ = outcome(*given, "data.on_bad_line=skip")["run"].load(PRETRAINED)
    assert all({*map(tuple, found[f"{side}.vectors"].tolist())} == {(9, 8, 7, 6)} for side in ("src", "tgt"))


def test_each_epoch_has_all_pairs_in_its_own_order():
    """An epoch is one batch here."""
    first, second, third = outcome(*FROZEN)["order"]
    rows = [sorted(tuple(i for i in row if i) for row in epoch) for epoch in (first, second, third)]
    assert rows[0] == rows[1] == rows[2]
    assert first != second != third


def test_a_vocabulary_and_a_matrix_of_source_and_target_hold_features_too_and_copy():
    given = ("data.share_vocab=true", "model.share_embeddings=true", "model.tie_embeddings=true", "model.copy=true")
    found = outcome(*INFLECTED, "data.features_column=third", "model.features=separate", *given)
    src, tgt = (codec.vocab for codec in found["run"].codecs)
    assert src.tokens[: len(tgt.tokens)] == tgt.tokens
    assert src.features == len(src) - len(tgt) > 0
    shapes = {name.partition("/")[2]: shape for name, shape in found["shapes"].items()}
    assert shapes["embed/embeddings"] == (len(src), 4)
    assert shapes["output/bias"] == (len(tgt),)
    assert not {"src_embed/embeddings", "tgt_embed/embeddings", "output/kernel"} & shapes.keys()
    (texts,) = Translator.load(found["run"].folder).translate(["one two\tV;u+0"])
    assert len(texts) == 1


def test_each_epoch_has_its_own_subwords_of_the_same_texts():
    """An epoch is one batch here."""
    found = outcome(*FROZEN, *SUBWORDS, "train.subword_sampling=0.3")
    codec, _ = found["run"].codecs
    rows = [
        [tuple(i for i in row if i not in (PAD_ID, EOS_ID)) for row in epoch if any(row)] for epoch in found["order"]
    ]
    first, second, third = map(sorted, rows)
    assert first != second != third
    texts = [sorted(map(codec.to_text, epoch)) for epoch in rows]
    assert texts[0] == texts[1] == texts[2]


def test_subword_sampling_stopped_in_an_epoch_and_resumed_ends_with_the_same_weights():
    given = (*TRAINED, *SUBWORDS, "train.subword_sampling=0.3", "train.batch_size=20", "train.validate_steps=99")
    given = (*given, "train.average=0.9", "model.word_dropout=0.1", "model.context_dropout=0.1")
    arrays = {}
    # The epochs have 4 batches: all stops are in the middle of one, in the first epoch or in the second.
    for name, limits in (("at-once", [6]), ("in-parts", [1, 3, 5, 6])):
        for limit in limits:
            # As a new process: all that is kept is in the folder.
            train_run(load_config(None, [*given, f"train.max_steps={limit}"]), Path(name), say=lambda line: None)
        arrays[name] = RunFolder(Path(name)).load(LAST)[0]
        assert sorted(path.name for path in Path(name).iterdir() if "spm" in path.name or "tmp" in path.name) == [
            "src.spm.model",
            "tgt.spm.model",
        ]
    whole, parts = arrays.values()
    assert whole.keys() == parts.keys()
    for key, values in whole.items():
        np.testing.assert_array_equal(parts[key], values, err_msg=key)
    assert RunFolder(Path("at-once")).load(LAST)[1]["epoch"] == 2


def test_without_a_number_of_shards_a_run_has_and_keeps_that_of_the_machine():
    found = outcome("train.shards=0")
    assert found["run"].config.train.shards == len(found["parts"]) == parts()


def test_scheduled_sampling_depends_on_the_seed():
    one, other = (outcome("train.teacher_forcing=0", *more)["fed by"] for more in ((), ("train.seed=2",)))
    assert one != other


def test_source_and_target_embeddings_start_with_the_scale_of_the_setting():
    still = ("train.optimizer=sgd", "train.learning_rate=1e-20")
    given = FROZEN, (*still, "model.embed_scale=0.1")
    one, other = (outcome(*settings)["run"].load(BEST)[0] for settings in given)
    for side in ("src", "tgt"):
        path = f"seq2seq/{side}_embed/embeddings"
        close(other[path], one[path] / 10)


def test_every_place_of_dropout_draws_once_in_an_update():
    """With two layers each: 4 states, 2 outputs to the layer above; context, output, 2 embeddings and their words."""
    found = outcome(
        *("model.recurrent_dropout=0.6", "model.context_dropout=0.6", "model.word_dropout=0.6"),
        *("model.encoder_layers=2", "model.decoder_layers=2"),
    )
    draws = [number for _, number in found["draws"]]
    # The input of the lowest layers is embeddings, which were dropped before.
    assert sorted(draws) == [0] * 2 + [1] * 12


def test_nothing_of_decoding_changes_training():
    one, other = outcome(), outcome(*(f"decode.{key}={law.value}" for key, law in DECODE.items()))
    for name in EVERYTHING.split(", "):
        assert one[name] == other[name]


def test_the_saved_settings_are_those_that_were_given():
    """So that a run that is loaded is the one that was trained."""
    for section in ("model", "train"):
        for key, law in LAWS[section].items():
            given = (*law.given, f"{section}.{key}={law.value}")
            assert outcome(*given)["run"].config == load_config(None, [*TRAINED, *given])


def test_a_run_keeps_what_its_data_decided_though_the_rules_change(monkeypatch):
    given, run = [*TRAINED, "train.label_smoothing=auto"], RunFolder(Path("keeps-decided"))
    train_run(load_config(None, given), run.folder, say=lambda line: None)
    decided = run.config
    assert run.read_json("data.json")["decided"] == ["train.label_smoothing"]
    assert decided.train.label_smoothing == 0.1
    other = [dataclasses.replace(rule, value=lambda facts, config: 0.3) for rule in auto.RULES]
    monkeypatch.setattr(auto, "RULES", other)
    train_run(load_config(None, given), run.folder, say=lambda line: None)
    assert run.config == decided


@pytest.mark.parametrize(("data", "tokenize"), [("pairs.tsv", "13a"), ("chinese.tsv", "zh")])
def test_a_run_keeps_the_tokenizer_that_its_dev_references_chose(data, tokenize):
    given = [*TRAINED, f"data.train={data}", "eval.tokenize=auto"]
    run, lines = RunFolder(Path(f"keeps-{tokenize}")), []
    train_run(load_config(None, given), run.folder, say=lines.append)
    assert run.config.eval.tokenize == tokenize
    # "auto" stands for what the run has.
    train_run(load_config(None, given), run.folder, say=lambda line: None)
    assert run.config.eval.tokenize == tokenize
    about = [line for line in lines if "without spaces" in line]
    # Of the tokenizer, and of the word level.
    assert len(about) == (0 if tokenize == "13a" else 2)
    assert evaluate_run(run).bleu.signature.split("|")[5] == f"tok:{tokenize}"
    with pytest.raises(UserError, match=f"was started with eval.tokenize = '{tokenize}', now it is 'char'"):
        train_run(load_config(None, [*given, "eval.tokenize=char"]), run.folder, say=lines.append)
