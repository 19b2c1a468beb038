"""Public corpora: the registry, files from a mirror, files that are refused."""

import gzip
import hashlib
import io
import os
import re
import zipfile
from pathlib import Path

import pytest

from wordseq.config.data import DATA_FILES
from wordseq.data import public
from wordseq.data.download import Limits
from wordseq.data.public import DATASETS, LICENCE_FILE, Dataset, RemoteFile, find_dataset, get
from wordseq.system.errors import UserError

MIRROR = Path(os.environ.get("WORDSEQ_MIRROR") or Path(__file__).resolve().parents[4] / "shared" / "data")
PAIRS = b"A cow sings.\tUne vache chante.\n"


def mute(_: str) -> None:
    pass


def zipped(**members: bytes) -> bytes:
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in members.items():
            archive.writestr(name, content)
    return packed.getvalue()


def tatoeba() -> Dataset:
    dataset = find_dataset("tatoeba-fra-eng")
    assert dataset is not None
    return dataset


def mirror_with(folder: Path, content: bytes, name: str = "tatoeba/fra-eng.zip") -> Path:
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
    return folder


def test_every_corpus_has_licence_attribution_and_addresses_that_fit_its_settings() -> None:
    for name, dataset in DATASETS.items():
        assert dataset.name == name
        assert dataset.licence
        assert dataset.attribution
        assert dataset.description
        assert {file.part for file in dataset.files} <= set(DATA_FILES)
        assert all(file.url.startswith("https://") for file in dataset.files)


def test_multi30k_has_six_pinned_files_in_every_direction() -> None:
    names = [name for name in DATASETS if name.startswith("multi30k")]
    assert len(names) == 12
    for name in names:
        files = DATASETS[name].files
        assert [file.part for file in files] == ["train", "train", "dev", "dev", "test", "test"]
        assert all(re.fullmatch("[0-9a-f]{64}", file.sha256) for file in files)
        assert len({file.sha256 for file in files}) == 6
    assert DATASETS["multi30k-de-en"].files[0].url.endswith("/raw/train.de.gz")
    assert DATASETS["multi30k-tok-en-fr"].files[1].url.endswith("/tok/train.lc.norm.tok.fr")


def test_any_language_of_tatoeba_has_an_address_and_nothing_else_does() -> None:
    dataset = find_dataset("tatoeba-nld-eng")
    assert dataset is not None
    assert dataset.files[0].url == "https://www.manythings.org/anki/nld-eng.zip"
    for name in ("tatoeba-eng-eng", "tatoeba-nl-eng", "tatoeba-fra-deu", "multi30k-en-en", "nothing", ""):
        assert find_dataset(name) is None


def test_a_corpus_from_the_mirror_is_stored_with_its_licence_and_not_fetched_again(tmp_path: Path) -> None:
    archive = zipped(**{"fra.txt": PAIRS, "_about.txt": b"about", "../evil.txt": b"x", "/evil.txt": b"x"})
    mirror = mirror_with(tmp_path / "mirror", archive)
    said: list[str] = []
    files = get(tatoeba(), tmp_path / "data", mirror, said.append)
    home = tmp_path / "data" / "tatoeba-fra-eng"
    assert files == {"train": [(home / "fra.txt",)]}
    assert files["train"][0][0].read_bytes() == PAIRS
    assert sorted(found.name for found in home.iterdir()) == sorted(
        ["fra.txt", "_about.txt", LICENCE_FILE, public.SUMS_FILE]
    )
    assert not list(tmp_path.rglob("evil.txt"))
    assert "CC BY 2.0 FR" in (home / LICENCE_FILE).read_text()
    assert any("CC BY 2.0 FR" in line and "tatoeba.org" in line for line in said)

    said.clear()
    assert get(tatoeba(), tmp_path / "data", tmp_path / "no mirror", said.append) == files
    assert any("CC BY 2.0 FR" in line for line in said)


@pytest.mark.parametrize("harm", ["changed", "deleted", "sums deleted"])
def test_an_incomplete_corpus_is_fetched_again(tmp_path: Path, harm: str) -> None:
    mirror = mirror_with(tmp_path / "mirror", zipped(**{"fra.txt": PAIRS}))
    path = get(tatoeba(), tmp_path, mirror, mute)["train"][0][0]
    if harm == "changed":
        path.write_bytes(PAIRS[:5])
    else:
        (path if harm == "deleted" else path.with_name(public.SUMS_FILE)).unlink()
    assert get(tatoeba(), tmp_path, mirror, mute)["train"][0][0].read_bytes() == PAIRS


def test_the_mirror_can_come_from_the_environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WORDSEQ_MIRROR", str(mirror_with(tmp_path / "mirror", zipped(**{"fra.txt": PAIRS}))))
    assert get(tatoeba(), tmp_path, None, mute)["train"][0][0].read_bytes() == PAIRS


def test_a_given_mirror_goes_over_the_environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WORDSEQ_MIRROR", str(mirror_with(tmp_path / "other", zipped(**{"fra.txt": b"A\tB\n"}))))
    given = mirror_with(tmp_path / "mirror", zipped(**{"fra.txt": PAIRS}))
    assert get(tatoeba(), tmp_path, given, mute)["train"][0][0].read_bytes() == PAIRS


def test_a_missing_file_in_the_mirror_is_named(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"fra-eng\.zip: no such file in the mirror"):
        get(tatoeba(), tmp_path, tmp_path / "mirror", mute)
    assert not (tmp_path / "tatoeba-fra-eng").exists()


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"<html>no zip</html>", "not a complete archive"),
        (zipped(**{"fra.txt": PAIRS * 100})[:-30], "not a complete archive"),
        (zipped(**{"fra.txt": PAIRS}).replace(b"PK\x01\x02", b"PK\x09\x02"), "not a complete archive"),
        (zipped(**{"../fra.txt": PAIRS}), "no member fra.txt"),
        (zipped(**{"fra.txt": b"x" * 5_000}), "unpacks to more than the 4,000 bytes"),
    ],
    ids=["no zip", "cut", "damaged", "outside", "bomb"],
)
def test_a_faulty_archive_is_refused_and_nothing_is_left(tmp_path: Path, content: bytes, said: str) -> None:
    mirror = mirror_with(tmp_path / "mirror", content)
    with pytest.raises(UserError, match=said) as error:
        get(tatoeba(), tmp_path / "data", mirror, mute, Limits(max_unpacked=4_000))
    assert "fra-eng.zip" in str(error.value)
    assert not (tmp_path / "data").exists()


def test_a_member_of_a_damaged_archive_fails_its_checksum(tmp_path: Path) -> None:
    content = bytearray(zipped(**{"fra.txt": os.urandom(1_000)}))
    content[200] ^= 0xFF
    with pytest.raises(UserError, match="not a complete archive"):
        get(tatoeba(), tmp_path / "data", mirror_with(tmp_path, bytes(content)), mute)


def pinned(text: bytes) -> Dataset:
    file = RemoteFile("train", "text", "https://example.org/text.gz", "x/text.gz", hashlib.sha256(text).hexdigest())
    return Dataset("made-up", ("en", "fr"), "made-up sentences", "CC0", "nobody", "https://example.org", (file,))


@pytest.mark.parametrize("packed", [True, False])
def test_a_pinned_text_may_come_packed_or_plain(tmp_path: Path, packed: bool) -> None:
    content, name = (gzip.compress(PAIRS), "x/text.gz") if packed else (PAIRS, "x/text")
    files = get(pinned(PAIRS), tmp_path / "data", mirror_with(tmp_path, content, name), mute)
    assert files["train"][0][0].read_bytes() == PAIRS


def test_another_text_than_the_published_one_is_refused(tmp_path: Path) -> None:
    mirror = mirror_with(tmp_path, gzip.compress(b"A cow flies.\n"), "x/text.gz")
    with pytest.raises(UserError, match="not the published text: sha256"):
        get(pinned(PAIRS), tmp_path / "data", mirror, mute)
    assert not (tmp_path / "data").exists()


def test_without_a_mirror_the_address_is_asked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked = []

    def fake(url: str, say: object, limits: Limits) -> bytes:
        asked.append(url)
        return gzip.compress(PAIRS)

    monkeypatch.delenv("WORDSEQ_MIRROR", raising=False)
    monkeypatch.setattr(public, "fetch", fake)
    assert get(pinned(PAIRS), tmp_path, None, mute)["train"][0][0].read_bytes() == PAIRS
    assert asked == ["https://example.org/text.gz"]


@pytest.mark.skipif(not (MIRROR / "multi30k").is_dir(), reason="needs the real corpora: set WORDSEQ_MIRROR")
@pytest.mark.parametrize("name", ["multi30k-de-en", "multi30k-fr-en", "multi30k-tok-de-fr", "multi30k-tok-en-de"])
def test_the_real_files_have_the_published_checksums(tmp_path: Path, name: str) -> None:
    files = get(DATASETS[name], tmp_path, MIRROR, mute)
    assert [path.read_bytes().count(b"\n") for part in files.values() for path in part[0]] == [
        29000,
        29000,
        1014,
        1014,
        1000,
        1000,
    ]
