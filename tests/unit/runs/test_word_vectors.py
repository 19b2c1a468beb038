"""Files of word vectors, and their errors."""

import gzip

import numpy as np
import pytest

from tests.reference.corpus import train_codec
from wordseq.batches.id_store import IdStore
from wordseq.config.data import DataConfig
from wordseq.config.load import load_config
from wordseq.runs.word_vectors import check_vectors, read_vectors, vector_size
from wordseq.system.errors import UserError

TEXT = ["The cat's milk, the cat", "Paris is the end"]
WORDS = "the 0.1 -0.25 3e-2\ncat 1 2 3\n, 0.5 0.5 0.5\nparis 7 8 9\nelephant x y z\n"


def codec(level="word", **data):
    return train_codec(TEXT, DataConfig(level=level, min_freq=1, subword_size=300, **data), "src")


def written(folder, content, name="v.txt"):
    path = folder / name
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    return path


def rows(found, words):
    """Vectors by token."""
    names = words.vocab.to_tokens(found.ids_n.tolist())
    return dict(zip(names, found.vectors_ne.tolist(), strict=True))


@pytest.mark.parametrize("form", ["glove", "word2vec", "gz", "windows", "spaces at the ends"])
def test_rows_equal_the_files(tmp_path, form):
    content, name = WORDS, "v.txt"
    if form == "word2vec":
        content = f"5 3\n{WORDS}"
    elif form == "gz":
        content, name = gzip.compress(WORDS.encode()), "v.txt.gz"
    elif form == "windows":
        content = "\ufeff" + WORDS.replace("\n", "\r\n")
    elif form == "spaces at the ends":
        content = WORDS.replace("\n", " \n")
    words = codec()
    path = written(tmp_path, content, name)
    assert vector_size(path) == 3
    found = rows(read_vectors(path, words, 3), words)
    expected = {"the": [0.1, -0.25, 0.03], "The": [0.1, -0.25, 0.03], "cat": [1, 2, 3], "Paris": [7, 8, 9]}
    expected["￭,"] = [0.5] * 3  # the comma touches the word before it
    assert {word: np.float32(vector).tolist() for word, vector in expected.items()} == found


def test_features_have_no_vectors_and_tokens_of_another_form_have_theirs(tmp_path):
    data = DataConfig(level="word", min_freq=1, features_column="3", src_form="NFD")
    words = train_codec(["été\tPST;the", "the\tPST"], data, "src")
    found = rows(read_vectors(written(tmp_path, "PST 1 1\nthe 2 2\nété 3 3\n"), words, 2), words)
    assert found == {"the": [2, 2], "e\u0301te\u0301": [3, 3]}


def test_characters_of_spelled_words_have_no_vectors(tmp_path):
    words = train_codec(["a the a", "the cat"], DataConfig(rare_words="spell"), "src")
    found = read_vectors(written(tmp_path, "a 1 1\nt 2 2\nthe 3 3\n<0x41> 4 4\n"), words, 2)
    assert rows(found, words) == {"a": [1, 1], "the": [3, 3]}
    assert found.coverage(words, IdStore.of([words.to_ids("the cat")]))["share"] == 1


def test_the_written_form_is_preferred_to_lower_case(tmp_path):
    words = codec()
    for content in ("the 1 1\nThe 2 2\n", "The 2 2\nthe 1 1\n"):
        found = read_vectors(written(tmp_path, content), words, 2)
        assert rows(found, words) == {"the": [1, 1], "The": [2, 2]}
        assert found.lowered == 0
    assert read_vectors(written(tmp_path, "the 1 1\n"), words, 2).lowered == 1


def test_coverage_counts_the_vocabulary_and_running_tokens(tmp_path):
    words = codec()
    store = IdStore.of([words.to_ids(text) for text in [*TEXT, "never seen"]])
    found = read_vectors(written(tmp_path, "cat 1 1\nthe 2 2\n"), words, 2).coverage(words, store)
    assert (found["vocabulary"], found["found"], found["lower_case"]) == (len(words.vocab.tokens), 3, 1)
    assert found["share"] == 3 / len(words.vocab.tokens)
    assert found["token_share"] == 5 / len(store.flat)
    assert found["deviation"] == pytest.approx(np.std([1, 1, 2, 2, 2, 2]))


@pytest.mark.parametrize("level", ["char", "bpe", "unigram"])
def test_subwords_are_looked_up_by_their_text_and_byte_tokens_never(tmp_path, level):
    words = codec(level)
    found = rows(read_vectors(written(tmp_path, "t 1 1\na 2 2\n▁ 3 3\n"), words, 2), words)
    assert found["a"] == [2, 2]
    assert not any(token.startswith("<0x") for token in found)


def test_words_with_spaces_are_skipped(tmp_path):
    found = read_vectors(written(tmp_path, "cat 1 2 3\n. . . 4 5 6\nat the 7 8 9\n"), words := codec(), 3)
    assert rows(found, words) == {"cat": [1, 2, 3]}


@pytest.mark.parametrize(
    ("content", "complaint"),
    [
        ("the 1 2\n", ":1: vectors of 2 numbers, but model.embed_dim = 3"),
        ("2 4\nthe 1 2 3 4\n", ":1: vectors of 4 numbers, but model.embed_dim = 3"),
        ("the 1 2 3\ncat 1 2\n", ":2: 2 numbers, expected 3"),
        ("the 1 2 3\ndog 0.1 0.2 0.3 0.4\n", ":2: 4 numbers, expected 3"),
        ("the 1 2 3\n\ncat 1 2 3\n", ":2: 0 numbers, expected 3"),
        ("the 1 2 3\ncat 1 2 x\n", ":2: 'cat': could not convert"),
        ("the 1 2 3\ncat 1 nan 3\n", ":2: 'cat': nan is not a finite number"),
        ("the 1 2 3\ncat 1 2 1e99\n", ":2: 'cat': 1e99 is not a finite number"),
        ("the 1 2 3\ncat 1 2 3\nthe 4 5 6\n", ":3: 'the' is there twice; the first time in line 1"),
        (b"the 1 2 3\ncaf\xe9 1 2 3\n", ":2: not UTF-8 at byte 4"),
    ],
)
def test_faults_name_file_and_line(tmp_path, content, complaint):
    path = written(tmp_path, content)
    with pytest.raises(UserError) as caught:
        read_vectors(path, codec(), 3)
    assert f"{path}{complaint}" in str(caught.value)
    if "embed_dim" in complaint:
        with pytest.raises(UserError, match="embed_dim"):
            check_vectors(path, 3)
    else:
        check_vectors(path, 3)
        assert read_vectors(path, codec(), 3, "skip").skipped == 1


@pytest.mark.parametrize(
    ("content", "complaint"),
    [
        ("", "the file is empty"),
        ("9 3\nthe 1 2 3\n", "the first line announces 9 words, but 1 follow"),
        ("dog 1 2 3\n", "no vector for any of the"),
    ],
)
def test_unusable_files_are_refused(tmp_path, content, complaint):
    with pytest.raises(UserError, match=complaint):
        read_vectors(written(tmp_path, content), codec(), 3)


@pytest.mark.parametrize(
    ("sets", "complaint"),
    [
        (["freeze_pretrained=true"], "model.freeze_pretrained needs model.pretrained_src or"),
        (["freeze_pretrained=true", "pretrained_tgt=v", "tie_embeddings=true", "embed_dim=512"], "must be trained"),
        (["pretrained_tgt=v", "kind=same_length"], 'needs model.pretrained_tgt = ""'),
        (["pretrained_tgt=v", "kind=repeat_vector"], 'needs model.pretrained_tgt = ""'),
    ],
)
def test_settings_that_exclude_each_other(sets, complaint):
    with pytest.raises(UserError, match=complaint):
        load_config(None, [f"model.{text}" for text in sets])
