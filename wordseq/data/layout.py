"""Which files are training, dev and test data: of a setting, of a folder, of an archive."""

import re
from collections import defaultdict
from collections.abc import Mapping, Sequence
from pathlib import Path, PurePosixPath
from types import MappingProxyType
from typing import TypeAlias

from wordseq.config.data import DATA_FILES, DataConfig
from wordseq.data.columns import LANGUAGE_CODE, LANGUAGE_CODES
from wordseq.data.readers.streams import COMPRESSIONS, archive_of, open_archive
from wordseq.system.errors import UserError

Files: TypeAlias = tuple[Path, ...]
"""One file of pairs, or two parallel files."""

PartFiles: TypeAlias = Mapping[str, Sequence[Files]]
"""The files of "train", "dev" and "test"; a part that is not given is missing."""

PAIR_SUFFIXES = (".tsv", ".tab", ".csv", ".jsonl", ".ndjson", ".json", ".tmx", ".po", ".mo", ".parquet")
"""Of files that hold pairs. Other files, such as .txt or .en, may be one of two parallel files."""

_CATALOGUES = (".po", ".mo", ".tmx")

_WORDS = re.compile(r"[._-]")

_PART_NAMES: Mapping[str, str] = MappingProxyType(
    {
        **dict.fromkeys(("train", "training"), "train"),
        **dict.fromkeys(("dev", "devel", "development", "val", "valid", "validation", "tune"), "dev"),
        **dict.fromkeys(("test", "testing", "eval"), "test"),
    }
)

_NO_DATA = re.compile(
    r"readme|licen[cs]e|copying|changelog|about|dataset_info|sha256sums|.*\.(md|html?|ids|xml|yaml|py)$", re.I
)

_OTHER_SUFFIXES = (".dat", ".log", ".out", ".zip", ".tar", ".pdf")

_SHOWN = 8


def files_of(data: DataConfig) -> PartFiles:
    """The files that `data.train`, `data.dev` and `data.test` name; a folder or archive may have several parts.

    Raises:
        UserError: a file is missing, or it is not clear which files of a folder or archive to take.
    """
    parts = dict(_resolve(data.train, "data.train", data))
    # What a setting names replaces what the folder or archive of the training data has.
    for key in DATA_FILES[1:]:
        if text := getattr(data, key):
            found = _resolve(text, f"data.{key}", data)
            # A folder may hold the files of this part alone, or under the name of another.
            parts[key] = found.get(key) or found["train"]
    return parts


def _resolve(text: str, key: str, data: DataConfig) -> PartFiles:
    path = Path(text)
    if path.is_dir():
        names = [PurePosixPath(file.relative_to(path).as_posix()) for file in sorted(path.rglob("*")) if file.is_file()]
        return _choose(path, names, key, data)
    archive = archive_of(path)
    if archive == path:
        with open_archive(path) as packed:
            names = [PurePosixPath(name) for name in packed.namelist() if not name.endswith("/")]
        return _choose(path, names, key, data)
    # In ARCHIVE.zip/MEMBER the archive exists; whether the member does is seen when it is opened.
    if path.exists() or archive:
        return {"train": [(path,)]}
    # A comma may also be part of a name, so every place is tried.
    for place in (place for place, char in enumerate(text) if char == ","):
        two = (Path(text[:place].strip()), Path(text[place + 1 :].strip()))
        if all(side.exists() or archive_of(side) for side in two):
            return {"train": [two]}
    missing = next((side for side in map(str.strip, text.split(",")) if not Path(side).exists()), text)
    raise UserError(f"{missing}: no such file ({key})" if "," in text else f"{text}: no such file")


def _choose(base: Path, names: Sequence[PurePosixPath], key: str, data: DataConfig) -> PartFiles:
    """The files of a folder or archive by part."""
    names = [name for name in names if _may_be_data(name)]
    by_part: dict[str, list[PurePosixPath]] = defaultdict(list)
    for name in names:
        if part := _part(name):
            by_part[part].append(name)
    if "train" in by_part:
        return {part: _files(base, by_part[part], key, data) for part in DATA_FILES if part in by_part}
    if by_part and set(by_part) == {key.removeprefix("data.")}:
        return {"train": _files(base, next(iter(by_part.values())), key, data)}
    return {"train": _files(base, names, key, data)}


def _part(name: PurePosixPath) -> str:
    """The part that a name tells: "dev" of val.en.gz, ces.word.dev.tsv and valid-00000-of-00001.parquet; else empty."""
    return next((_PART_NAMES[word] for word in _WORDS.split(name.name.casefold()) if word in _PART_NAMES), "")


def _may_be_data(name: PurePosixPath) -> bool:
    # macOS adds __MACOSX/, Tatoeba's archives hold _about.txt beside the text.
    hidden = any(part.startswith((".", "_")) for part in name.parts)
    return not hidden and not _NO_DATA.match(name.name)


def _files(base: Path, names: Sequence[PurePosixPath], key: str, data: DataConfig) -> list[Files]:
    """Files of one part: files of pairs, or two parallel files.

    Raises:
        UserError: there are none, or several that do not belong together.
    """
    pairs = [name for name in names if suffix_of(name) in PAIR_SUFFIXES]
    if pairs:
        kinds = {suffix_of(name) for name in pairs}
        if len(kinds) > 1:
            raise UserError(f"{base}: files of several formats, {_shown(pairs)}; name one: {key}={base / pairs[0]}")
        # Catalogues belong together, and files that are numbered. Others, such as those of several languages, may not.
        if not kinds & set(_CATALOGUES) and len({_without_numbers(name) for name in pairs}) > 1:
            raise UserError(f"{base}: several files, {_shown(pairs)}; name one: {key}={base / pairs[0]}")
        return [(base / name,) for name in pairs]
    if len(names) == 1:
        return [(base / names[0],)]
    found = _parallel(names, data)
    if found is not None:
        return [(base / found[0], base / found[1])]
    texts = [name for name in names if suffix_of(name) == ".txt"]
    packed = [name for name in names if name.suffix.lower() == ".zip"]
    if len(texts) == 1 and not packed:
        return [(base / texts[0],)]
    if packed:
        raise UserError(f"{base}: several files, {_shown([*texts, *packed])}; name one: {key}={base / packed[0]}")
    if data.src_lang and data.tgt_lang and (folders := sorted({str(name.parent) for name in names} - {"."})):
        raise UserError(
            f"{base}: no file or several for {data.src_lang} and {data.tgt_lang}; name the folder: {key}={base / folders[0]}"
        )
    languages = sorted({_language(name) for name in names} - {""})
    hint = (
        f"choose two of the languages {', '.join(languages)}: data.src_lang={languages[0]} data.tgt_lang={languages[1]}"
        if len(languages) > 1
        else f"name the file: {key}=FILE, or two parallel files: {key}=SRC,TGT"
    )
    raise UserError(f"{base}: no pair of files is recognised in {_shown(names) or 'it'}; {hint}")


def _parallel(names: Sequence[PurePosixPath], data: DataConfig) -> tuple[PurePosixPath, PurePosixPath] | None:
    """The two of these files whose names differ in the language at the end, in the order source, target."""
    by_stem: dict[str, dict[str, PurePosixPath]] = defaultdict(dict)
    for name in names:
        if language := _language(name):
            stem = str(name.with_name(_bare(name))).removesuffix(language)
            by_stem[stem][language.casefold()] = name
    wanted = (data.src_lang.casefold(), data.tgt_lang.casefold())
    found = [group for group in by_stem.values() if len(group) > 1]
    if all(wanted):
        found = [group for group in found if set(wanted) <= set(group)]
        return (found[0][wanted[0]], found[0][wanted[1]]) if len(found) == 1 else None
    if len(found) != 1 or len(found[0]) != 2:
        return None
    # In "OpenSubtitles.en-fr.fr" the order of the languages is in the name.
    first, second = sorted(found[0])
    stem = str(next(iter(found[0].values())).name).casefold()
    if f"{second}-{first}" in stem:
        first, second = second, first
    return found[0][first], found[0][second]


def _without_numbers(name: PurePosixPath) -> str:
    return re.sub(r"\d+", "", name.name)


def _language(name: PurePosixPath) -> str:
    """The language at the end of a name: "en" of news.en, news.en.txt.gz and en.txt; empty if there is none."""
    _, dot, last = _bare(name).rpartition(".")
    if not LANGUAGE_CODE.fullmatch(last) or f".{last.casefold()}" in (*PAIR_SUFFIXES, *_OTHER_SUFFIXES):
        return ""
    # Without a dot the name is the language, so it must be a known one.
    return last if dot or last.casefold() in LANGUAGE_CODES else ""


def _bare(name: PurePosixPath) -> str:
    """The last part of a name without the suffix of a compression and without .txt."""
    plain = _plain(name)
    return plain.stem if plain.suffix.lower() == ".txt" else plain.name


def _plain(name: PurePosixPath) -> PurePosixPath:
    """The name without the suffix of a compression."""
    return name.with_suffix("") if name.suffix.lower() in COMPRESSIONS else name


def suffix_of(name: PurePosixPath | Path) -> str:
    """The suffix of a name in lower case, without that of a compression: ".tsv" of pairs.TSV.gz."""
    return _plain(PurePosixPath(name.name)).suffix.lower()


def _shown(names: Sequence[PurePosixPath]) -> str:
    return ", ".join(map(str, names[:_SHOWN])) + ", ..." * (len(names) > _SHOWN)
