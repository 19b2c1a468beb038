"""Packed runs of made run folders; that they translate alike is a law of `wordseq pack`."""

import dataclasses
import json
import os
import re
import zipfile
from pathlib import Path

import pytest

import wordseq
from tests.fake_runs import fake_run, few_draws, some_test, with_errors
from tests.runs import files_of
from wordseq.comparison.scored_runs import is_scored, read_run
from wordseq.config.load import load_config
from wordseq.config.schema import by_key
from wordseq.data.public import DATASETS
from wordseq.evaluation.card import UNKNOWN_LICENCE, model_card
from wordseq.runs.data import check_folder, check_usable
from wordseq.runs.find import folder_for
from wordseq.runs.folder import BEST, LAST, RunFolder
from wordseq.runs.pack import Pack
from wordseq.system.errors import UserError
from wordseq.system.files import command_text

TEST = some_test()
PATHS = {
    "data.train": "/secret/place/a.en,/secret/place/a.fr",
    "data.dev": "../secret/dev.tsv",
    "data.test": "C:\\secret\\test.tsv",
    "model.pretrained_src": "/secret/vectors/en.vec",
    "model.pretrained_tgt": "secret/fr.vec.gz",
}


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """A scored run whose files have texts of the corpus and paths of the machine wherever a run may have them."""
    folder = tmp_path_factory.mktemp("secret") / "mine"
    with few_draws():
        fake_run(folder, TEST, with_errors(TEST, 0.2), *(f"{key}={value}" for key, value in PATHS.items()))
    data = {
        "tgt_per_src": 1.25,
        "src_tokens": {"usual": 9, "longest": 12},
        "coverage": {"twin_examples": {"boat": "b"}},
    }
    (folder / "data.json").write_text(json.dumps(data))
    split = {
        part: {"pairs": 40, "sources": 40, "sha256": "0" * 64, "source_hashes": ["1"]}
        for part in ("train", "dev", "test")
    }
    (folder / "split.json").write_text(
        json.dumps({**split, "first": [["THE BOAT", "the boat"]], "counts": {"/secret": 1}})
    )
    scores = json.loads((folder / "eval/test.json").read_text())
    scores["command"] = "wordseq train --run mine --set data.train=/secret/place/a.en,/secret/place/a.fr"
    (folder / "eval/test.json").write_text(json.dumps(scores))
    (folder / "memory.json").write_text(json.dumps({"wordseq": "0.0.9, git 123"}))
    return wordseq.load(folder)


def card_of(packed: Path) -> str:
    return (packed / "MODEL_CARD.md").read_text(encoding="utf-8")


def test_a_pack_has_neither_sentences_of_the_corpus_nor_paths_of_the_machine(made, tmp_path):
    packed = made.pack(tmp_path / "p", verbose=False)
    sentences = {*TEST.sources, *(text for texts in TEST.references for text in texts), "THE BOAT"}
    for name, content in files_of(packed).items():
        text = content.decode("utf-8", "replace")
        assert "secret" not in text, name
        assert [sentence for sentence in sentences if sentence in text] == [], name
    before, after = by_key(made.config), by_key(RunFolder(packed).config)
    assert {key: value for key, value in after.items() if value != before[key]} == {
        "data.train": "a.en,a.fr",
        "data.dev": "dev.tsv",
        "data.test": "test.tsv",
        "model.pretrained_src": "en.vec",
        "model.pretrained_tgt": "fr.vec.gz",
    }
    assert "\ncommand: wordseq train --run mine --set data.train=a.en,a.fr\n" in card_of(packed)


def test_a_pack_is_a_run_with_the_same_weights_log_and_lengths(made, tmp_path):
    ours, theirs = RunFolder(made.pack(tmp_path / "p", verbose=False)), RunFolder(made.folder)
    assert ours.path_of(BEST).read_bytes() == theirs.path_of(BEST).read_bytes()
    assert [codec.sha256 for codec in ours.codecs] == [codec.sha256 for codec in theirs.codecs]
    assert (ours.tgt_per_src, ours.src_lengths) == (theirs.tgt_per_src, theirs.src_lengths) == (1.25, (9, 12))
    assert list(ours.metrics()) == list(theirs.metrics()) != []
    assert not ours.has(LAST)


def test_the_default_place_is_beside_the_run(made, capsys):
    packed = made.pack()
    assert packed == made.folder.with_name("mine-packed")
    said = capsys.readouterr().out
    assert re.match(rf"packed {made.folder} into {packed}: [\d.]+ of [\d.]+ MB\n", said)
    assert UNKNOWN_LICENCE in said
    assert UNKNOWN_LICENCE in card_of(packed)


def test_a_zip_has_the_same_bytes_again_by_another_name_and_from_a_pack(made, tmp_path):
    one = made.pack(tmp_path / "one.zip", verbose=False)
    os.utime(made.folder / "config.toml", (0, 0))
    other = wordseq.load(made.pack(tmp_path / "p", verbose=False)).pack(tmp_path / "two.zip", verbose=False)
    assert one.read_bytes() == other.read_bytes()
    with zipfile.ZipFile(one) as archive:
        archive.extractall(tmp_path / "out")
    assert files_of(tmp_path / "out" / "mine-packed") == files_of(tmp_path / "p")
    with pytest.raises(UserError, match="unpack it"):
        wordseq.load(one)
    assert {path.name for path in tmp_path.iterdir()} == {"one.zip", "two.zip", "out", "p"}


def test_with_the_test_split_a_pack_can_be_compared(made, tmp_path):
    theirs = json.loads((made.folder / "eval/test.json").read_text())
    packed = made.pack(tmp_path / "p", with_test=True, verbose=False)
    assert wordseq.load(packed).test == TEST
    assert is_scored(packed)
    ours = read_run(packed)
    assert (ours.hyps, ours.evaluation["worst"]) == (read_run(made.folder).hyps, theirs["worst"])
    with pytest.raises(UserError, match="has no dev sentences; the run that was packed has them"):
        _ = wordseq.load(packed).dev


def test_what_a_pack_cannot_do_is_refused_by_name(made, tmp_path):
    packed = RunFolder(made.pack(tmp_path / "p", verbose=False))
    with pytest.raises(UserError, match=r"without its test sentences.*--with-test"):
        packed.held_out("test")
    with pytest.raises(UserError, match="--with-test"):
        wordseq.load(packed.folder).pack(tmp_path / "q", with_test=True)
    for check in (check_usable, lambda run: check_folder(run, load_config(None))):
        with pytest.raises(UserError, match="cannot be trained further"):
            check(packed)
    with pytest.raises(UserError, match="has the best checkpoint only"):
        _ = wordseq.load(packed.folder).finished
    # `wordseq train FILE` takes another name than that of a pack with the same settings.
    assert folder_for(packed.folder, packed.config) == tmp_path / "p-2"
    assert not (tmp_path / "q").exists()


def test_an_existing_place_and_a_missing_folder_are_refused(made, tmp_path):
    (tmp_path / "a.zip").write_text("mine")
    (tmp_path / "link").symlink_to("nowhere")
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "manifest.json").write_text('{"format": "other"}')
    # To remove these may lose work: only what was exported, and can be exported again, may be removed.
    for place in (*(tmp_path / name for name in ("a.zip", "link", ".", "other")), made.folder):
        with pytest.raises(UserError, match=f"^{place}: exists; choose another --output$"):
            made.pack(place)
        with pytest.raises(UserError, match=f"^{place}: exists; choose another --output$"):
            made.export(place)
    with pytest.raises(UserError, match="no folder"):
        made.pack(tmp_path / "none" / "p")
    assert (tmp_path / "a.zip").read_text() == "mine"


def test_a_failure_leaves_nothing(made, tmp_path, monkeypatch):
    def fail(*_):
        raise OSError(28, "No space left on device", "temporary")

    monkeypatch.setattr("wordseq.runs.folder.RunFolder.save", fail)
    with pytest.raises(OSError, match="No space") as caught:
        made.pack(tmp_path / "p")
    assert caught.value.filename == str(tmp_path / "p")
    assert list(tmp_path.iterdir()) == []


def test_scores_of_another_checkpoint_are_left_out_and_damaged_ones_named(made, tmp_path, capsys):
    path = made.folder / "eval" / "test.json"
    saved = path.read_text()
    try:
        path.write_text(json.dumps({**json.loads(saved), "checkpoint": "other"}))
        packed = made.pack(tmp_path / "p")
        assert not (packed / "eval").exists()
        assert "There are no scores" in card_of(packed)
        assert f"wordseq eval {made.folder}" in capsys.readouterr().out
        path.write_text(json.dumps({key: value for key, value in json.loads(saved).items() if key != "ter"}))
        with pytest.raises(UserError, match=r"test\.json: damaged"):
            made.pack(tmp_path / "q")
    finally:
        path.write_text(saved)


def test_the_card_names_model_data_scores_and_licence(made, tmp_path):
    corpus = DATASETS["tatoeba-fra-eng"]
    config = (made.folder / "config.toml").read_text()
    saved = re.sub('(?m)^(train|dev|test) = ".*?"', r'\1 = ""', config)
    saved = saved.replace('corpus = ""', f'corpus = "{corpus.name}"')
    saved = saved.replace('src_lang = ""', 'src_lang = "en"').replace('tgt_lang = ""', 'tgt_lang = "fr"')
    scores = json.loads((made.folder / "eval/test.json").read_text())
    try:
        (made.folder / "config.toml").write_text(saved)
        packed = made.pack(tmp_path / "p", verbose=False)
    finally:
        (made.folder / "config.toml").write_text(config)
    card = card_of(packed)
    low, high = scores["bleu"]["ci95"]
    for expected in (
        *("# mine", "| Cell | gru |", "| Token level | word |", "| Parameters | 15 |", "| Languages | en to fr |"),
        *("| Training pairs | 40 |", "embeddings 256, hidden 512", "0.0.9, git 123", wordseq.__version__),
        *(corpus.licence, corpus.attribution, corpus.description, "wordseq translate .", 'wordseq.load(".")'),
        *(scores[key]["signature"] for key in ("bleu", "chrf", "ter")),
        f"| BLEU | {scores['bleu']['score']:.1f} | {low:.1f} to {high:.1f} |",
        f"40 sentences with {scores['references']} references, beam size 1.",
    ):
        assert expected in card, expected
    assert UNKNOWN_LICENCE not in card


@pytest.mark.parametrize(("swap", "direction"), [(False, "en to fr"), (True, "fr to en")])
def test_the_card_has_the_languages_in_the_direction_of_the_model(made, swap, direction):
    pack = Pack.read(RunFolder(made.folder))
    data = dataclasses.replace(pack.config.data, src_lang="en", tgt_lang="fr", swap=swap)
    card = model_card(dataclasses.replace(pack, config=dataclasses.replace(pack.config, data=data)))
    assert f"| Languages | {direction} |" in card
    assert direction == f"{data.lang_of('src')} to {data.lang_of('tgt')}"
    assert ("`data.swap`" in card) == swap


def test_the_sums_of_the_card_are_those_of_the_file_and_of_describe(made, tmp_path):
    import hashlib

    from wordseq.runs.checkpoint import sha256_of

    packed = RunFolder(made.pack(tmp_path / "p", verbose=False))
    card = card_of(packed.folder)
    assert hashlib.sha256(packed.path_of(BEST).read_bytes()).hexdigest() in card
    assert sha256_of(packed.load(BEST)[0]) in card


@pytest.mark.parametrize(
    ("words", "text"),
    [
        (["wordseq", "eval", "/a/b", "--src", "x/y"], "wordseq eval b --src x/y"),
        (["--set", "data.train=/a/b.tsv,/c d/e.tsv"], "--set data.train=b.tsv,e.tsv"),
        (["--vary", 'data.train=["/a/b c.tsv","C:\\d\\e.tsv"]'], """--vary 'data.train=["b c.tsv","e.tsv"]'"""),
        (["https://a.b/c", "1/2", "/"], "https://a.b/c 1/2 /"),
    ],
)
def test_a_command_line_is_kept_without_folders_of_the_machine(words, text):
    assert command_text(words) == text
