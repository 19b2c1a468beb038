"""Packed runs: what translating needs, in a folder or a .zip, without text of the corpus and without paths of this machine."""

import dataclasses
import json
import os
import shlex
import tempfile
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path, PureWindowsPath
from typing import Any, Self

from wordseq.config.data import DATA_FILES
from wordseq.config.schema import Config
from wordseq.data.splits import HELD_OUT_FILE, HeldOut
from wordseq.runs.checkpoint import Arrays
from wordseq.runs.folder import (
    BEST,
    DATA_FILE,
    EVAL_FOLDER,
    MEMORY_FILE,
    METRICS_FILE,
    PACK_FILE,
    SPLIT_FILE,
    RunFolder,
)
from wordseq.system.errors import UserError
from wordseq.system.files import command_text, encoded, naming, sync_folder
from wordseq.system.platform import installed_version
from wordseq.text.vocab import TextCodec

CARD_FILE = "MODEL_CARD.md"

_ENDING = "-packed"

# A list of what is kept, so that a new key cannot carry text of the corpus.
_KEPT_OF_SPLIT = ("pairs", "sources", "groups", "references", "sha256", "seen")

_EXAMPLES = ("worst", "random")
"""Keys of eval/test.json that hold sentences."""

_EARLIEST = (1980, 1, 1, 0, 0, 0)
"""The time of every file in a .zip, the earliest that the format has: equal runs give equal bytes."""


@dataclass(frozen=True)
class Pack:
    """What a packed run holds, read and checked.

    Attributes:
        run: the run.
        name: name of the folder of the run that was trained.
        config: its settings; of paths only the last part.
        codecs: source and target tokenizer with vocabulary.
        arrays: weights of the best checkpoint.
        state: state of the best checkpoint.
        data: content of data.json: lengths.
        split: content of split.json: sizes and hashes of "train", "dev" and "test".
        evaluation: content of eval/test.json; None if the run has no scores of its best checkpoint.
        test: the test split with the text files of its evaluation by name; None: left out.
        versions: `wordseq`, the version that packs, and `trained_with`, if it is known.
    """

    run: RunFolder
    name: str
    config: Config
    codecs: tuple[TextCodec, TextCodec]
    arrays: Arrays
    state: Mapping[str, Any]
    data: Mapping[str, Any]
    split: Mapping[str, Mapping[str, Any]]
    evaluation: Mapping[str, Any] | None
    test: tuple[HeldOut, Mapping[str, list[str]]] | None
    versions: Mapping[str, str]

    @classmethod
    def read(cls, run: RunFolder, with_test: bool = False) -> Self:
        """Read what is packed of a run.

        Args:
            run: a trained run, or a packed one.
            with_test: include the sentences of the test split.

        Raises:
            UserError: the run has no checkpoint yet, or a file is missing or damaged.
        """
        if run.members:
            raise UserError(f"{run.folder}: an ensemble cannot be packed; pack its runs, and combine the packed ones")
        arrays, state = run.load(BEST)
        name = run_name(run)
        evaluation = _evaluation(run, name, with_test)
        lengths = run.src_lengths
        return cls(
            run=run,
            name=name,
            config=_without_places(run.config),
            codecs=run.codecs,
            arrays=arrays,
            state=state,
            data={"tgt_per_src": run.tgt_per_src, **({"src_tokens": lengths._asdict()} if lengths else {})},
            split=_sizes(run),
            evaluation=evaluation,
            test=(run.held_out("test"), _texts(run) if evaluation else {}) if with_test else None,
            versions=_versions(run),
        )

    def write(self, folder: Path, card: str) -> None:
        """Write the packed run into a new folder, with the text of its `CARD_FILE`."""
        packed = RunFolder(folder)
        files: dict[str, Mapping[str, Any]] = {
            DATA_FILE: self.data,
            SPLIT_FILE: self.split,
            PACK_FILE: {"name": self.name, **self.versions},
        }
        if self.test:
            files[HELD_OUT_FILE] = {"test": dataclasses.asdict(self.test[0])}
        packed.begin(self.config, *self.codecs, files)
        packed.save(BEST, self.arrays, self.state)
        packed.write_lines(METRICS_FILE, (json.dumps(entry, ensure_ascii=False) for entry in self.run.metrics()))
        if self.evaluation:
            packed.write_json(f"{EVAL_FOLDER}/test.json", self.evaluation)
        for name, lines in (self.test[1] if self.test else {}).items():
            packed.write_lines(f"{EVAL_FOLDER}/{name}", lines)
        packed.write_text(CARD_FILE, card)


def pack_place(run: RunFolder, output: Path | None, ending: str = _ENDING) -> Path:
    """Where a run is packed to; None: beside its folder, with `ending` at the end of the name.

    Raises:
        UserError: it exists, or its parent folder does not.
    """
    folder = run.folder.resolve()
    place = output or (run.folder.parent if run.folder.name else folder.parent) / f"{folder.name}{ending}"
    if os.path.lexists(place):
        remove = f", or remove it: {shlex.join(['rm', '-r', '--', str(place)])}" if _is_export(place) else ""
        raise UserError(f"{place}: exists; choose another --output{remove}")
    if not place.absolute().parent.is_dir():
        raise UserError(f"{place}: no folder {place.absolute().parent}")
    return place


def _is_export(place: Path) -> bool:
    """Whether it is a folder that can be exported again: not a run, whose training would be lost, nor a pack."""
    try:
        found = json.loads((place / "manifest.json").read_bytes())
    except (OSError, ValueError):
        return False
    form = found.get("format") if isinstance(found, dict) else None
    return not place.is_symlink() and isinstance(form, list) and form[:1] in (["wordseq-onnx"], ["wordseq-web"])


def write_pack(pack: Pack, card: str, place: Path) -> None:
    """Write a packed run atomically: as a .zip if the name ends so, else as a folder.

    A .zip has one folder, NAME-packed, where NAME is the run's. The same run gives the same bytes.

    Args:
        pack: the content.
        card: text of its `CARD_FILE`.
        place: the new file or folder, from `pack_place`.

    Raises:
        OSError: it cannot be written; the error names `place`.
    """
    with naming(place), tempfile.TemporaryDirectory(prefix=f".{place.name}.", dir=place.absolute().parent) as temporary:
        made = Path(temporary) / f"{pack.name}{_ENDING}"
        pack.write(made, card)
        if place.suffix.lower() == ".zip":
            made = _zipped(made)
        os.rename(made, place)
    sync_folder(place.absolute().parent)


def bytes_of(place: Path) -> int:
    """The size of a file, or of all files under a folder, in bytes."""
    paths = place.rglob("*") if place.is_dir() else [place]
    return sum(path.stat().st_size for path in paths if path.is_file())


def _zipped(folder: Path) -> Path:
    # Not compressed: weights hardly shrink, and what a compressor writes depends on its version.
    path = folder.with_name("packed.zip")
    with path.open("wb") as file:
        with zipfile.ZipFile(file, "w") as archive:
            for source in sorted(path for path in folder.rglob("*") if path.is_file()):
                entry = zipfile.ZipInfo(source.relative_to(folder.parent).as_posix(), _EARLIEST)
                entry.create_system, entry.external_attr = 3, 0o100644 << 16  # A plain file of Unix, on Windows too.
                entry.file_size = source.stat().st_size
                with source.open("rb") as content, archive.open(entry, "w") as member:
                    while block := content.read(1 << 20):
                        member.write(block)
        file.flush()
        os.fsync(file.fileno())
    return path


def _without_places(config: Config) -> Config:
    """The settings with the names of files only: their folders are of this machine."""
    data: dict[str, Any] = {key: ",".join(map(_name_of, getattr(config.data, key).split(","))) for key in DATA_FILES}
    vectors: dict[str, Any] = {
        key: _name_of(getattr(config.model, key)) for key in ("pretrained_src", "pretrained_tgt")
    }
    return dataclasses.replace(
        config,
        data=dataclasses.replace(config.data, **data),
        model=dataclasses.replace(config.model, **vectors),
    )


def _name_of(path: str) -> str:
    # Windows takes / and \; a run may be packed on another system than it was trained on.
    return PureWindowsPath(path).name


def _sizes(run: RunFolder) -> dict[str, dict[str, Any]]:
    found = run.read_json(SPLIT_FILE)
    for part in DATA_FILES:
        if not isinstance(found.get(part), dict):
            raise UserError(f"{run.folder / SPLIT_FILE}: damaged: it has no sizes of the {part} split")
    return {part: {key: found[part][key] for key in _KEPT_OF_SPLIT if key in found[part]} for part in DATA_FILES}


def _evaluation(run: RunFolder, name: str, with_test: bool) -> dict[str, Any] | None:
    """Content of eval/test.json if it has scores of the best checkpoint: without sentences unless they are packed too."""
    if not (run.folder / EVAL_FOLDER / "test.json").is_file():
        return None
    found = run.read_json(f"{EVAL_FOLDER}/test.json")
    if found.get("checkpoint") != run.header(BEST).sha256:
        return None
    kept = {key: value for key, value in found.items() if with_test or key not in _EXAMPLES}
    try:
        command = command_text(shlex.split(str(found.get("command", ""))))
    except ValueError:  # An unclosed quote: not as it was written.
        command = ""
    return kept | {"run": name, "command": command}


def _texts(run: RunFolder) -> dict[str, list[str]]:
    """Sources, references and translations of the evaluation of the test split, by the names of their files."""
    names = ["test.src", "test.hyp", *(path.name for path in sorted((run.folder / EVAL_FOLDER).glob("test.ref*")))]
    return {name: run.read_lines(f"{EVAL_FOLDER}/{name}") for name in names}


def run_name(run: RunFolder) -> str:
    """The name of the folder that the run was trained in: a pack keeps it when it is renamed."""
    kept = _name_of(str(run.read_json(PACK_FILE).get("name", ""))) if run.packed else ""
    return encoded(kept or run.folder.resolve().name).decode()


def _versions(run: RunFolder) -> dict[str, str]:
    source, key = (PACK_FILE, "trained_with") if run.packed else (MEMORY_FILE, "wordseq")
    trained = run.read_json(source).get(key) if (run.folder / source).is_file() else None
    return {"wordseq": installed_version("wordseq") or "unknown", **({"trained_with": str(trained)} if trained else {})}
