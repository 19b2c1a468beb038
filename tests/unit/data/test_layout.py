"""Which files of a setting, a folder or an archive are training, dev and test data."""

import zipfile
from pathlib import Path

import pytest

from wordseq.config.data import DataConfig
from wordseq.data.layout import files_of
from wordseq.system.errors import UserError


def made(folder: Path, names: str) -> Path:
    """A folder of empty files."""
    for name in names.split():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("")
    return folder


def found(base: Path, **settings: str) -> dict[str, list[str]]:
    """The files of each part below `base`, two parallel ones with a comma between."""
    parts = files_of(DataConfig(**settings))
    return {part: [",".join(str(path.relative_to(base)) for path in files) for files in parts[part]] for part in parts}


LAYOUTS = {
    "train.en train.fr dev.en dev.fr test.en test.fr": {
        "train": ["train.en,train.fr"],
        "dev": ["dev.en,dev.fr"],
        "test": ["test.en,test.fr"],
    },
    "train.tsv": {"train": ["train.tsv"]},
    "train.tsv test.tsv": {"train": ["train.tsv"], "test": ["test.tsv"]},
    "train.tsv val.tsv": {"train": ["train.tsv"], "dev": ["val.tsv"]},
    "ces.word.train.tsv ces.word.dev.tsv README.md LICENSE .hidden.tsv _about.tsv": {
        "train": ["ces.word.train.tsv"],
        "dev": ["ces.word.dev.tsv"],
    },
    "data/train-00000-of-00002.parquet data/train-00001-of-00002.parquet data/valid-00000-of-00001.parquet": {
        "train": ["data/train-00000-of-00002.parquet", "data/train-00001-of-00002.parquet"],
        "dev": ["data/valid-00000-of-00001.parquet"],
    },
    "News.en-fr.en News.en-fr.fr News.en-fr.ids README": {"train": ["News.en-fr.en,News.en-fr.fr"]},
    "News.fr-en.en News.fr-en.fr": {"train": ["News.fr-en.fr,News.fr-en.en"]},
    "en.txt fr.txt": {"train": ["en.txt,fr.txt"]},
    "news.en.gz news.fr.gz": {"train": ["news.en.gz,news.fr.gz"]},
    "fra.txt": {"train": ["fra.txt"]},
    "a.mo b.mo sub/c.mo": {"train": ["a.mo", "b.mo", "sub/c.mo"]},
}


@pytest.mark.parametrize("names", LAYOUTS)
@pytest.mark.parametrize("packed", [False, True], ids=["folder", "archive"])
def test_files_are_found_by_their_names(tmp_path: Path, names: str, packed: bool) -> None:
    folder = made(tmp_path / "given", names)
    if packed:
        archive = tmp_path / "given.zip"
        with zipfile.ZipFile(archive, "w") as written:
            for path in sorted(folder.rglob("*")):
                written.write(path, path.relative_to(folder))
        folder = archive
    assert found(folder, train=str(folder)) == LAYOUTS[names]


@pytest.mark.parametrize(
    ("names", "said"),
    [
        ("de_train.tsv fr_train.tsv", r"several files, de_train\.tsv, fr_train\.tsv; name one: data\.train="),
        ("a.tsv b.csv", r"files of several formats, a\.tsv, b\.csv; name one"),
        ("x.en x.fr x.de", r"choose two of the languages de, en, fr: data\.src_lang=de data\.tgt_lang=en"),
        ("one.txt two.txt", "no pair of files is recognised in one.txt, two.txt; name the file"),
        ("README.md", "no pair of files is recognised in it"),
    ],
)
def test_what_is_not_clear_is_refused(tmp_path: Path, names: str, said: str) -> None:
    with pytest.raises(UserError, match=said):
        files_of(DataConfig(train=str(made(tmp_path, names))))


def test_languages_choose_two_of_several_files_and_their_order(tmp_path: Path) -> None:
    folder = made(tmp_path, "train.en train.fr train.de dev.en dev.fr dev.de")
    chosen = found(folder, train=str(folder), src_lang="FR", tgt_lang="de")
    assert chosen == {"train": ["train.fr,train.de"], "dev": ["dev.fr,dev.de"]}


def test_a_setting_replaces_what_the_folder_has(tmp_path: Path) -> None:
    """A folder for dev may hold dev files alone, or all parts; then its dev files are meant."""
    first, second = made(tmp_path / "a", "train.tsv dev.tsv test.tsv"), made(tmp_path / "b", "train.tsv dev.tsv")
    own = made(tmp_path / "c", "dev.tsv other.tsv")
    for given, expected in ((second, "b/dev.tsv"), (own, "c/dev.tsv"), (first / "test.tsv", "a/test.tsv")):
        parts = found(tmp_path, train=str(first), dev=str(given))
        assert parts == {"train": ["a/train.tsv"], "dev": [expected], "test": ["a/test.tsv"]}


def test_two_files_are_joined_by_a_comma_which_may_also_be_in_a_name(tmp_path: Path) -> None:
    made(tmp_path, "a,b.en c,d.fr x,y.tsv z.en")
    assert found(tmp_path, train=f"{tmp_path}/a,b.en,{tmp_path}/c,d.fr") == {"train": ["a,b.en,c,d.fr"]}
    assert found(tmp_path, train=f"{tmp_path}/x,y.tsv") == {"train": ["x,y.tsv"]}
    with pytest.raises(UserError, match=r"none\.fr: no such file \(data\.train\)"):
        files_of(DataConfig(train=f"{tmp_path}/z.en,{tmp_path}/none.fr"))
