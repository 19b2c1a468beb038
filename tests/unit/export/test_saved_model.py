"""A SavedModel reads and writes text as the package does, and translates like the run."""

import functools
import random
import subprocess
import sys

import pytest
import tensorflow as tf

from tests.random_runs import PAIRS, random_run
from tests.reference.corpus import train_codec
from tests.runs import environment
from tests.unit.export.test_portable_text import LEVELS, TEXTS
from tests.unit.export.test_translate import SENTENCES
from wordseq.decoding.translator import Translator
from wordseq.export.saved_model import ServedText, export_saved_model
from wordseq.export.tensor_text import TensorCodec, handles
from wordseq.runs.folder import RunFolder
from wordseq.runs.weights import load_model
from wordseq.system.errors import UserError
from wordseq.text.normalise import normalise, prepare
from wordseq.text.vocab import EOS_ID, PAD_ID, UNK_ID

HANDLED = ("word", "spelled", "char", "symbols")
SIGNS = "'’‘\"“«»-–.,!?()…/ \u00a0\u2009\t\u200b\u00ad"
RESERVED = "\uffed\uffee<>\u2581\u258501"
ODD = [
    "L'été, 'Oui' \"non\" !",
    "LE ou Le",
    "！ ？«‘’",
    "Ünïcödé ж 你好 👍 🇫🇷🇩🇪 ❤\ufe0f",
    "  ",
    "",
    "\uffee1 \uffed <0x41>",
]


@functools.cache
def codec_of(name, side):
    return train_codec(TEXTS, LEVELS[name], side)


@functools.cache
def tensor_codec(name, side, lowercase=False):
    return TensorCodec(codec_of(name, side), lowercase)


@pytest.mark.parametrize("name", HANDLED)
def test_strings_become_the_same_ids_and_ids_the_same_strings(name):
    draw = random.Random(2)
    made = ("".join(draw.choices(f"abéœu0{SIGNS}{RESERVED}", k=draw.randint(1, 20))) for _ in range(60))
    texts = [*ODD, *TEXTS[:20], *TEXTS[-1:], *made]
    src, tgt = codec_of(name, "src"), codec_of(name, "tgt")
    tensors = tensor_codec(name, "src")
    prepared = tensors.prepare(tf.constant(texts))
    assert [text.decode() for text in prepared.numpy()] == [normalise(text) for text in texts]
    found = tensors.tokens(prepared)
    for text, tokens, row in zip(map(normalise, texts), found.to_list(), tensors.to_ids(found).numpy(), strict=True):
        ids = src.to_ids(text)
        assert [token.decode() for token in tokens] == src.tokenize(text)
        assert row.tolist() == [*ids, EOS_ID, *[PAD_ID] * (len(row) - len(ids) - 1)]
    ids = [draw.choices(range(4, len(tgt.vocab)), k=7) for _ in range(60)]
    written = tensor_codec(name, "tgt").to_text(tf.constant(ids)).numpy()
    assert [text.decode() for text in written] == list(map(tgt.to_text, ids))


def test_texts_are_normalised_and_in_lower_case():
    text = "\ufeff L'ÉTÉ\u2009!\r\n\t été\u200b "
    (found,) = tensor_codec("word", "src", True).prepare(tf.constant([text])).numpy()
    assert found.decode() == prepare(text, True)


def test_subwords_features_and_other_forms_are_not_handled():
    assert [name for name in LEVELS if handles(codec_of(name, "src"))] == list(HANDLED)


SETTINGS = {
    "words": ["decode.beam_size=3", "decode.length_penalty=0.4"],
    "copied-words": ["model.copy=true", "model.cell=lstm", "data.lowercase=true"],
    "spelled": ["data.rare_words=spell", "model.attention=additive"],
    "characters": ["data.level=char", "model.attention=none"],
    "words-to-characters": ["data.tgt_level=char", "model.input_feeding=true"],
    "same-length": ["model.kind=same_length", "model.attention=none", "decode.max_len_extra=30"],
}


LONG = [pytest.param(name, marks=pytest.mark.long) for name in SETTINGS if name not in ("copied-words", "spelled")]


@pytest.mark.slow
@pytest.mark.parametrize("name", ["copied-words", "spelled", *LONG])
def test_lines_are_those_of_the_package(tmp_path, name):
    run = random_run(tmp_path / "run", *SETTINGS[name])
    loaded = tf.saved_model.load(str(export_saved_model(run, say=lambda line: None)))
    found = loaded.signatures["serving_default"](texts=tf.constant(SENTENCES))["translations"]
    assert [text.decode() for text in found.numpy()] == Translator.load(run)(SENTENCES)
    assert loaded.signatures["serving_default"](texts=tf.constant([], tf.string))["translations"].shape == (0,)


@pytest.mark.slow
def test_subwords_go_as_ids(tmp_path):
    run = random_run(tmp_path / "run", "data.level=bpe", "model.cell=rnn")
    folder = export_saved_model(run, say=lambda line: None)
    names = {path.name for path in (folder / "assets.extra").iterdir()}
    assert names == {f"{side}.{end}" for side in ("src", "tgt") for end in ("vocab.json", "spm.model")} | {"text.json"}
    serve = tf.saved_model.load(str(folder)).signatures["serving_default"]
    translator = Translator.load(run)
    ids = [*translator.src.to_ids(SENTENCES[0]), EOS_ID]
    found = serve(src_ids=tf.constant([ids]))
    (best,) = translator.translate(SENTENCES[:1])[0]
    written = [int(i) for i in found["tgt_ids"][0] if i not in (EOS_ID, PAD_ID)]
    assert translator.tgt.to_text(written) == best.text
    assert found["log_probs"][0].numpy() == pytest.approx(best.score, rel=1e-4)
    assert serve(src_ids=tf.zeros([0, 4], tf.int32))["log_probs"].shape == (0,)


@pytest.mark.usefixtures("uncompiled")
@pytest.mark.parametrize("beam", [1, 3])
def test_an_empty_batch_gives_an_empty_result(tmp_path, beam):
    run = random_run(tmp_path / "run", f"decode.beam_size={beam}")
    served = ServedText(load_model(run)[0], *run.codecs, run.config, run.tgt_per_src)
    assert served.translate(tf.constant([], tf.string))["translations"].numpy().tolist() == []
    # Also where the model writes <unk>, for which there is no word of a source.
    next(weight for weight in served.model.weights if weight.path.endswith("output/bias")).assign_add(
        99.0 * tf.one_hot(UNK_ID, len(run.codecs[1].vocab))
    )
    assert served.translate(tf.constant(["", " \t"]))["translations"].numpy().tolist() == [b"", b""]
    assert served.translate(tf.constant(["a"]))["translations"].shape == (1,)
    for length in (0, 4):
        found = served.ids(tf.zeros([0, length], tf.int32))
        assert (found["tgt_ids"].shape[0], found["log_probs"].shape) == (0, (0,))


@pytest.mark.usefixtures("uncompiled")
def test_a_text_of_known_words_has_its_own_copies_beside_one_with_unknown_words(tmp_path):
    run = random_run(tmp_path / "run", "model.copy=true", "data.min_freq=1")
    served = ServedText(load_model(run)[0], *run.codecs, run.config, run.tgt_per_src)
    next(weight for weight in served.model.weights if weight.path.endswith("output/bias")).assign_add(
        9.0 * tf.one_hot(UNK_ID, len(run.codecs[1].vocab))
    )
    known = [pair.src for pair in PAIRS[:8]]
    assert not any(UNK_ID in run.codecs[0].to_ids(prepare(text, False)) for text in known)
    found = served.translate(tf.constant([*known, "Zork meets Blorp."]))["translations"].numpy().tolist()
    alone = [served.translate(tf.constant([text]))["translations"].numpy()[0] for text in known]
    assert found[:-1] == alone
    assert len(set(alone)) > 3


@pytest.mark.slow
def test_it_loads_where_this_package_is_not(tmp_path):
    run = random_run(tmp_path / "run", "model.cell=sru")
    folder = export_saved_model(run, say=lambda line: None)
    program = (
        "import sys, tensorflow as tf; serve = tf.saved_model.load(sys.argv[1]).signatures['serving_default'];"
        "lines = serve(texts=tf.constant(sys.argv[2:]))['translations'].numpy(); assert 'wordseq' not in sys.modules;"
        "sys.stdout.buffer.write(b'\\n'.join(lines))"
    )
    env = {key: value for key, value in environment().items() if key != "PYTHONPATH"}
    words = [sys.executable, "-c", program, folder, *SENTENCES]
    done = subprocess.run(words, cwd=tmp_path, env=env, capture_output=True, check=True)
    assert done.stdout.decode().split("\n") == Translator.load(run)(SENTENCES)


def test_an_ensemble_is_refused(tmp_path):
    run = RunFolder(tmp_path)
    run.members = (run, run)
    with pytest.raises(UserError, match="an ensemble has several models; export one of its runs"):
        export_saved_model(run, tmp_path / "x")
