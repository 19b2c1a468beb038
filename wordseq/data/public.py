"""Public corpora with address, licence, attribution and checksum; downloaded, or copied from a mirror folder.

A corpus is stored in `FOLDER/NAME/`: its text, `LICENSE-and-attribution.txt`, and `SHA256SUMS`. The last is written last: if
it is there, the corpus is complete. `sha256sum -c SHA256SUMS` checks the files.
"""

import gzip
import hashlib
import io
import itertools
import os
import re
import zipfile
import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from types import MappingProxyType
from typing import IO

from wordseq.config.data import DATA_FILES
from wordseq.data.download import DEFAULT_LIMITS, Limits, fetch
from wordseq.system.errors import UserError
from wordseq.system.files import write_atomically
from wordseq.system.progress import Say

DEFAULT_FOLDER = Path("data")

MIRROR_VARIABLE = "WORDSEQ_MIRROR"

LICENCE_FILE = "LICENSE-and-attribution.txt"

SUMS_FILE = "SHA256SUMS"

TATOEBA_URL = "https://www.manythings.org/anki/"

MULTI30K_URL = "https://raw.githubusercontent.com/multi30k/dataset/"

# Fixed, because later commits correct sentences of train.en, while published scores are for the first release.
MULTI30K_COMMIT = MappingProxyType(
    {"raw": "c9be912dc05a3ebf9ae5bb5f7f58c1791cda43ab", "tok": "7bee46bc74186b4b6254603143610f730d40bf66"}
)

# Checksums of the unpacked text, so that packed and unpacked copies have the same. Tatoeba grows and has none.
_SUMS = resources.files("wordseq.data").joinpath("multi30k.sha256").read_text(encoding="utf-8")
MULTI30K_SHA256 = MappingProxyType({name: digest for digest, name in map(str.split, _SUMS.splitlines())})


@dataclass(frozen=True)
class RemoteFile:
    """One file to download.

    Attributes:
        part: "train", "dev" or "test"; of two files of one part the source comes first.
        name: local file name; in a .zip also the member's name.
        url: address.
        mirror: path in a mirror folder.
        sha256: checksum of the unpacked text, in hex; empty if the publisher changes the file.
        extras: further members of the .zip to keep, if it has them.
    """

    part: str
    name: str
    url: str
    mirror: str
    sha256: str = ""
    extras: tuple[str, ...] = ()


@dataclass(frozen=True)
class Dataset:
    """A public corpus; `languages` are the codes of source and target."""

    name: str
    languages: tuple[str, str]
    description: str
    licence: str
    attribution: str
    homepage: str
    files: tuple[RemoteFile, ...]


def _tatoeba(code: str) -> Dataset:
    short, language = _TATOEBA_LANGUAGES.get(code, (code, code))
    archive = f"{code}-eng.zip"
    text = RemoteFile("train", f"{code}.txt", TATOEBA_URL + archive, f"tatoeba/{archive}", extras=("_about.txt",))
    return Dataset(
        name=f"tatoeba-{code}-eng",
        languages=("en", short),
        description=f"English to {language}: short everyday sentences, often with several translations",
        licence="CC BY 2.0 FR (https://creativecommons.org/licenses/by/2.0/fr/)",
        attribution="www.manythings.org/anki and tatoeba.org",
        homepage=TATOEBA_URL,
        files=(text,),
    )


def _multi30k(form: str, src: str, tgt: str) -> Dataset:
    tokenized = form == "tok"
    return Dataset(
        name=f"multi30k{'-tok' if tokenized else ''}-{src}-{tgt}",
        languages=(src, tgt),
        description=f"{_LANGUAGES[src]} to {_LANGUAGES[tgt]}: image captions, 29,000 / 1,014 / 1,000 pairs, "
        + ("lower-cased and tokenized" if tokenized else "raw text"),
        licence="non-commercial research and education; the captions and images of Flickr30k have their own terms",
        attribution="Elliott, Frank, Sima'an, Specia (2016), \"Multi30K: Multilingual English-German Image "
        'Descriptions", 5th Workshop on Vision and Language; Elliott, Frank, Barrault, Bougares, Specia (2017), '
        '"Findings of the Second Shared Task on Multimodal Machine Translation and Multilingual Image Description", '
        "WMT 2017",
        homepage="https://github.com/multi30k/dataset",
        files=tuple(_multi30k_file(form, part, language) for part in DATA_FILES for language in (src, tgt)),
    )


def _multi30k_file(form: str, part: str, language: str) -> RemoteFile:
    upstream = {"train": "train", "dev": "val", "test": "test_2016_flickr"}[part]
    plain = f"{form}/{upstream}{'.lc.norm.tok' if form == 'tok' else ''}.{language}"
    return RemoteFile(
        part=part,
        name=f"{upstream}.{language}",
        # Upstream compresses the raw files only; a mirror has both compressed.
        url=f"{MULTI30K_URL}{MULTI30K_COMMIT[form]}/data/task1/{plain}{'' if form == 'tok' else '.gz'}",
        mirror=f"multi30k/{plain}.gz",
        sha256=MULTI30K_SHA256[plain],
    )


_LANGUAGES = MappingProxyType({"en": "English", "de": "German", "fr": "French"})

_TATOEBA_LANGUAGES = MappingProxyType({"fra": ("fr", "French"), "spa": ("es", "Spanish"), "deu": ("de", "German")})

_TATOEBA_NAME = re.compile(r"tatoeba-([a-z]{3})-eng")

DATASETS: Mapping[str, Dataset] = MappingProxyType(
    {
        dataset.name: dataset
        for dataset in (
            *map(_tatoeba, _TATOEBA_LANGUAGES),
            *(_multi30k(form, *pair) for form in ("raw", "tok") for pair in itertools.permutations(_LANGUAGES, 2)),
        )
    }
)

OPEN_NAMES = "tatoeba-XXX-eng for any three-letter language code XXX"


def find_dataset(name: str) -> Dataset | None:
    """The corpus called `name`: one of `DATASETS`, or `tatoeba-XXX-eng` for any three-letter code; else None."""
    # Tatoeba has far more languages than `DATASETS` lists; a code without a corpus fails at the download.
    match = _TATOEBA_NAME.fullmatch(name)
    return DATASETS.get(name) or (_tatoeba(match[1]) if match and match[1] != "eng" else None)


def get(
    dataset: Dataset,
    folder: Path = DEFAULT_FOLDER,
    mirror: Path | None = None,
    say: Say = print,
    limits: Limits = DEFAULT_LIMITS,
) -> dict[str, list[tuple[Path, ...]]]:
    """Store the complete corpus in `folder/NAME/`, unless it is there, and print its licence.

    Args:
        dataset: see `find_dataset`.
        folder: parent folder of all corpora.
        mirror: folder that replaces the network; None: the environment variable WORDSEQ_MIRROR, if it is set.
        say: called with one line at a time: licence, attribution, addresses of downloads.
        limits: limits of a download.

    Returns:
        For each part of "train", "dev" and "test" that the corpus has its file of pairs, or two parallel files.

    Raises:
        UserError: a file is missing in the mirror, cannot be downloaded, or differs from what was published.
        OSError: the folder cannot be written.
    """
    home = folder / dataset.name
    say(f"{dataset.name}: {dataset.description}")
    say(f"licence: {dataset.licence}; attribution: {dataset.attribution}")
    if mirror is None and (given := os.environ.get(MIRROR_VARIABLE)):
        mirror = Path(given)
    if not _is_complete(dataset, home):
        _fill(dataset, home, mirror, say, limits)
    parts = {part: tuple(home / file.name for file in dataset.files if file.part == part) for part in DATA_FILES}
    return {part: [files] for part, files in parts.items() if files}


def _fill(dataset: Dataset, home: Path, mirror: Path | None, say: Say, limits: Limits) -> None:
    # All files are fetched and checked before the first is written: a failure leaves nothing behind.
    saved: dict[str, bytes] = {}
    for file in dataset.files:
        saved |= _contents(file, mirror, say, limits)
    lines = [f"{dataset.name}: {dataset.description}", "", f"Licence: {dataset.licence}"]
    lines += [f"Attribution: {dataset.attribution}", f"Source: {dataset.homepage}"]
    lines += [f"  {file.url}" for file in dataset.files]
    saved[LICENCE_FILE] = "".join(f"{line}\n" for line in lines).encode()
    home.mkdir(parents=True, exist_ok=True)
    for name, content in saved.items():
        write_atomically(home / name, content)
    # Last, see above: the sums show that all other files are complete.
    sums = "".join(f"{hashlib.sha256(content).hexdigest()}  {name}\n" for name, content in saved.items())
    write_atomically(home / SUMS_FILE, sums.encode())
    say(f"{dataset.name}: stored in {home}")


def _contents(file: RemoteFile, mirror: Path | None, say: Say, limits: Limits) -> dict[str, bytes]:
    """The unpacked and checked files to keep, by name."""
    if mirror is None:
        say(f"downloading {file.url}")
        where, packed = file.url, fetch(file.url, say, limits)
    else:
        where, packed = _from_mirror(mirror, file.mirror)
    unpacked = _unpack(where, packed, file, limits.max_unpacked)
    actual = hashlib.sha256(unpacked[file.name]).hexdigest()
    if file.sha256 and actual != file.sha256:
        raise UserError(f"{where}: not the published text: sha256 {actual}, expected {file.sha256}; nothing was stored")
    return unpacked


def _from_mirror(mirror: Path, relative: str) -> tuple[str, bytes]:
    path = mirror / relative
    plain = path.with_suffix("")
    # A mirror may hold the text unpacked.
    if path.suffix == ".gz" and not path.exists() and plain.exists():
        path = plain
    try:
        return str(path), path.read_bytes()
    except FileNotFoundError:
        raise UserError(f"{path}: no such file in the mirror {mirror}") from None
    except OSError as error:
        raise UserError(f"{path}: cannot be read: {error.strerror or error}") from None


def _unpack(where: str, packed: bytes, file: RemoteFile, limit: int) -> dict[str, bytes]:
    try:
        if where.endswith(".zip"):
            return _unzip(where, packed, file, limit)
        if where.endswith(".gz"):
            with gzip.GzipFile(fileobj=io.BytesIO(packed)) as stream:
                return {file.name: _read_limited(where, stream, limit)}
    except (OSError, EOFError, zlib.error, zipfile.BadZipFile, RuntimeError, NotImplementedError) as error:
        raise UserError(f"{where}: not a complete archive: {error}") from None
    return {file.name: packed}


def _unzip(where: str, packed: bytes, file: RemoteFile, limit: int) -> dict[str, bytes]:
    """The wanted members, under our own names: names in an archive may point outside the folder."""
    with zipfile.ZipFile(io.BytesIO(packed)) as archive:
        members = archive.namelist()
        if file.name not in members:
            raise UserError(f"{where}: no member {file.name}; it has {', '.join(members[:10]) or 'none'}")
        unpacked = {}
        for name in (file.name, *(extra for extra in file.extras if extra in members)):
            with archive.open(name) as stream:
                unpacked[name] = _read_limited(f"{where}/{name}", stream, limit)
    return unpacked


def _read_limited(where: str, stream: IO[bytes] | gzip.GzipFile, limit: int) -> bytes:
    # The size in an archive's header may be wrong: only reading shows whether it is a decompression bomb.
    content = stream.read(limit + 1)
    if len(content) > limit:
        raise UserError(f"{where}: unpacks to more than the {limit:,} bytes allowed")
    return content


def _is_complete(dataset: Dataset, home: Path) -> bool:
    """Whether every file exists with its checksum in `SHA256SUMS`, and with the published checksum, if any."""
    try:
        lines = (home / SUMS_FILE).read_text(encoding="utf-8").splitlines()
        noted = {name: digest for digest, _, name in (line.partition("  ") for line in lines)}
        # Path(name).name: a damaged list must not lead out of the folder.
        actual = {name: hashlib.sha256((home / Path(name).name).read_bytes()).hexdigest() for name in noted}
    except (OSError, UnicodeDecodeError):
        return False
    return noted == actual and all(
        actual.get(file.name, "-") == (file.sha256 or noted.get(file.name)) for file in dataset.files
    )
