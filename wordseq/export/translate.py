"""Translates lines of text with the model in this folder: one line for each line that it reads.

    python translate.py --input sentences.txt --output translations.txt --beam 5

It needs Python 3.11, numpy, onnxruntime and regex, and sentencepiece for models with subwords or characters. In Python:

    from translate import OnnxTranslator
    translate = OnnxTranslator()
    translate(["I am cold.", "Where is the station?"], beam=5)
"""

import argparse
import contextlib
import functools
import hashlib
import io
import json
import os
import sys
import unicodedata
from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import onnxruntime

from wordseq.export.portable_text import ExportedSide, normalised

_PAD, _UNK, _BOS, _EOS = 0, 1, 2, 3
_MOST_SRC_TOKENS, _MOST_POSITIONS, _SMALLEST_BATCH = 50_000, 2**17, 16
_LARGEST_BEAM, _MOST_HYPOTHESES = 1000, 2**11  # Memory grows with them: hypotheses of a sentence, and of a batch.
_IMPOSSIBLE = -100.0  # The log-probability of an end of probability 0, where a sentence must end.

_Array = npt.NDArray[Any]


class OnnxTranslator:
    """Translates texts; calls from several threads are safe.

    Args:
        folder: of the exported model.
        int8: use the smaller and faster model of 8-bit integers.
        threads: batches that are translated at a time; 0: as many as there are processors.

    Raises:
        ValueError: the folder has no exported model, none of this kind, or one of another version of the format; a file that
            is needed is missing or damaged; `threads` is negative.
    """

    def __init__(self, folder: str | Path = Path(__file__).parent, *, int8: bool = False, threads: int = 0) -> None:
        self.folder = Path(folder)
        if threads < 0:
            raise ValueError(f"threads must be at least 0, got {threads}")
        self.manifest = _read_manifest(self.folder)
        kind = "int8" if int8 else "float32"
        if kind not in self.manifest["models"]:
            raise ValueError(f"{self.folder}: has no {kind} model")
        graphs = [self.manifest["models"][kind][part] for part in ("encoder", "decoder")]
        sides = [
            name for side in ("src", "tgt") for name in (f"{side}.vocab.json", self.manifest[side]["sentencepiece"])
        ]
        # onnxruntime and sentencepiece do not say which file is damaged.
        if fault := _damage(self.folder, self.manifest, [*graphs, *filter(None, sides)]):
            raise ValueError(f"{self.folder}: {fault}")
        self._settings, self._int8 = self.manifest["search"], int8
        self._threads = threads or (
            len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
        )
        self._src, self._tgt = (ExportedSide(self.folder, side, self.manifest[side]) for side in ("src", "tgt"))
        self._encoder, self._decoder = (_Session(self.folder / name) for name in graphs)

    def __call__(self, texts: Iterable[str], beam: int | None = None) -> list[str]:
        """The translation of each text.

        Args:
            texts: a list of texts.
            beam: from 1, which is greedy search, to 1,000; None: the beam of the exported run.

        Raises:
            TypeError: `texts` is one text.
            ValueError: a text cannot be translated, or `beam` is out of range.
        """
        if isinstance(texts, str):
            raise TypeError("texts must be a list of texts, got one text; put it into a list: [text]")
        if fault := _beam_fault(beam):
            raise ValueError(f"beam {fault}")
        beam = beam or self._settings["beam_size"]
        texts = list(texts)
        for number, text in enumerate(texts, 1):
            if fault := self.fault(text):
                raise ValueError(f"text {number}: {fault}")
        prepared = [self._prepare(text) for text in texts]
        sources = [self._src.to_ids(text) for text in prepared]
        found = [""] * len(texts)
        filled = [i for i, ids in enumerate(sources) if ids and prepared[i].partition("\t")[0]]
        order = sorted(filled, key=lambda i: len(sources[i]))
        largest = max(1, min(self._settings["batch_size"], _MOST_HYPOTHESES // beam))
        batches = list(_batches(order, sources, largest, self._threads))
        translate = functools.partial(self._batch, sources, prepared, beam)
        with (
            ThreadPoolExecutor(self._threads)
            if min(len(batches), self._threads) > 1
            else contextlib.nullcontext() as pool
        ):
            for rows, lines in zip(batches, (pool.map if pool else map)(translate, batches), strict=True):
                for row, line in zip(rows, lines, strict=True):
                    found[row] = line
        return found

    def fault(self, text: str) -> str:
        """Why a text cannot be translated; empty if it can."""
        if self._src.feature_separator and text.count("\t") != 1:
            return "expected a word, a TAB and its features, e.g. gehen<TAB>V;PST;1;SG"
        if 6 * len(text) > _MOST_SRC_TOKENS:
            tokens = len(self._src.to_ids(self._prepare(text)))
            if tokens > _MOST_SRC_TOKENS:
                return f"{tokens:,} tokens, more than the {_MOST_SRC_TOKENS:,} that are translated at once"
        return ""

    def check(self) -> str:
        """Compare all files and one result with the manifest; what differs, or empty."""
        if fault := _damage(self.folder, self.manifest, self.manifest["sha256"]):
            return fault
        wanted = self.manifest["check"]
        found = self.checked(wanted["src_ids"])
        near = abs(found["log_prob"] - wanted["log_prob"]) <= 1e-3 * max(1.0, abs(wanted["log_prob"]))
        # The numbers are those of the float32 model. They differ by rounding from machine to machine.
        return "" if self._int8 or near else f"the model gives {found}, expected {wanted}"

    def checked(self, src_ids: list[int]) -> dict[str, Any]:
        """What `check` compares: the greedy output of a source, and its log-probability."""
        (found,) = self._search([src_ids], 1, None)
        return {"src_ids": src_ids, "tgt_ids": found.ids, "log_prob": found.log_prob}

    def _prepare(self, text: str) -> str:
        word, _, features = text.partition("\t") if self._src.feature_separator else (text, "", "")
        word = normalised(word)
        if self.manifest["lowercase"]:
            word = unicodedata.normalize("NFC", word.lower())
        if not self._src.feature_separator:
            return word
        parts = (part.strip() for part in normalised(features).split(self._src.feature_separator))
        return f"{word}\t{self._src.feature_separator.join(filter(None, parts))}"

    def _batch(self, sources: list[list[int]], prepared: list[str], beam: int, rows: list[int]) -> list[str]:
        batch = [sources[i] for i in rows]
        if not self.manifest["replaces_unknown"]:
            return [self._tgt.text(self._tgt.names(found.ids)) for found in self._search(batch, beam, None)]
        words = [self._src.whole_words(prepared[i].partition("\t")[0]) for i in rows]
        allowed = np.zeros((len(batch), max(map(len, batch)) + 1), bool)
        for row, ids, names in zip(allowed, batch, words, strict=True):
            row[: len(names)] = True
            unknown = np.array([i == _UNK for i in ids[: len(names)]])
            if self.manifest["copies"] and unknown.any():
                row[: len(names)] = unknown
        lines = []
        for names, found in zip(words, self._search(batch, beam, allowed), strict=True):
            tokens = [
                self._src.as_target(names[place], self._tgt) if i == _UNK else self._tgt.names([i])
                for i, place in zip(found.ids, found.places, strict=True)
            ]
            lines.append(self._tgt.text([token for some in tokens for token in some]))
        return lines

    def _search(self, batch: Sequence[Sequence[int]], beam: int, allowed: _Array | None) -> list["_Found"]:
        """The best output of each source.

        Args:
            batch: source ids.
            beam: hypotheses per sentence.
            allowed: the places `[b, s]` of words that may replace <unk>; None: no places are found.
        """
        settings = self._settings
        lengths = [len(ids) + 1 for ids in batch]
        factor, extra = settings["max_len_ratio"] * settings["tgt_per_src"], settings["max_len_extra"]
        limits = np.array([int(factor * n) + extra for n in lengths])
        limits = np.minimum(limits, lengths) if settings["same_length"] else limits
        src_ids = np.full((len(batch), max(lengths)), _PAD, np.int32)
        for row, ids in zip(src_ids, batch, strict=True):
            row[: len(ids) + 1] = [*ids, _EOS]
        given = self._encoder({"src_ids": src_ids})
        if allowed is not None:
            given["allowed"] = allowed[:, None]
        search = _Search(self._decoder, given, limits, beam, self.manifest["tgt"]["size"], settings["length_penalty"])
        return search.run()


class _Found:
    """The best output of a source: ids without the end, their log-probability, for each <unk> a place in the source."""

    def __init__(self, history_t2: _Array, log_prob: float) -> None:
        real = history_t2[(history_t2[:, 0] != _PAD) & (history_t2[:, 0] != _EOS)].tolist()
        self.ids, self.places = [token for token, _ in real], [place for _, place in real]
        self.log_prob = log_prob


class _Search:
    """Beam search with k hypotheses, as in `wordseq.decoding.search`; with k = 1 greedy search.

    Each step takes the 2 k best continuations. Those among the first k that end are finished; the k best others stay. Finished
    sentences leave the batch when they are a quarter of it.
    """

    def __init__(
        self, decoder: "_Session", given: dict[str, _Array], limits: _Array, beam: int, size: int, alpha: float
    ) -> None:
        self.decoder, self.beam, self.alpha, self.count = decoder, beam, np.float32(alpha), min(2 * beam, size)
        batch, longest = len(limits), int(limits.max())
        self.state = {name: np.repeat(value, beam, 1) for name, value in given.items() if name.startswith("state_")}
        self.memory = {name: value for name, value in given.items() if name not in self.state}
        none = np.full((batch, beam), -np.inf, np.float32)
        # All hypotheses start equal: without -inf for all but one, the beam would hold k copies.
        totals = none.copy()
        totals[:, 0] = 0
        history = np.zeros((batch, beam, longest, 2), np.int32)  # Tokens, and for each <unk> a place in the source.
        self.open = {
            "rows": np.arange(batch),
            "limits": limits,
            "last": np.full((batch, beam), _BOS, np.int32),
            "totals": totals,
            "history": history,
            "done": history,
            "done_totals": none,
            "scores": none,
            "n_done": np.zeros(batch, np.int64),
            "is_open": np.ones(batch, bool),
        }
        self.found: list[Any] = [None] * batch

    def run(self) -> list[_Found]:
        """The best output of each sentence."""
        for t in range(self.open["history"].shape[2]):
            self._step(t)
            is_open = self.open["is_open"]
            if 4 * is_open.sum() <= 3 * len(is_open):
                self._leave(~is_open)
            if not len(self.open["rows"]):
                break
        return self.found

    def _leave(self, leaves: _Array) -> None:
        now = self.open
        for k in np.flatnonzero(leaves):
            self.found[now["rows"][k]] = _Found(now["done"][k, 0], float(now["done_totals"][k, 0]))
        self.open, self.state, self.memory = (
            {name: part[~leaves] for name, part in some.items()} for some in (now, self.state, self.memory)
        )

    def _step(self, t: int) -> None:
        now, beam = self.open, self.beam
        step = self.decoder({"last_ids": now["last"], "count": np.array([self.count]), **self.memory, **self.state})
        gained, tokens = step["log_probs"], step["ids"]
        ending = t >= now["limits"] - 1
        if ending.any():
            # At the limit only the end may come.
            end = step["end_log_probs"][ending]
            gained[ending], tokens[ending, :, 0] = -np.inf, _EOS
            gained[ending, :, 0] = np.where(np.isneginf(end), np.float32(_IMPOSSIBLE), end)
        all_totals = (now["totals"][:, :, None] + gained).reshape(len(gained), -1)
        # 2 k: each hypothesis has one continuation by the end, so at least k others are left.
        picked = _largest(all_totals, 2 * beam)
        parents, totals = picked // self.count, _taken(all_totals, picked)
        new = _taken(tokens.reshape(len(tokens), -1), picked)
        grown = _taken(now["history"], parents)
        grown[:, :, t, 0] = new
        if "allowed" in self.memory and (new == _UNK).any():
            places = np.where(self.memory["allowed"], step["weights"], -1).argmax(-1)
            grown[:, :, t, 1] = _taken(places, parents)
        ends = new == _EOS
        # Only among the first k: a worse continuation would not have stayed in the beam either.
        finished = ends & (np.arange(2 * beam) < beam) & now["is_open"][:, None] & (totals > -np.inf)
        if finished.any():
            self._finish(t, grown, np.where(finished, totals, np.float32(-np.inf)))
        totals = np.where(ends, np.float32(-np.inf), totals)
        kept = _largest(totals, beam)
        parents = _taken(parents, kept)
        now |= {
            "totals": _taken(totals, kept),
            "history": _taken(grown, kept),
            "last": _taken(new, kept).astype(np.int32),
        }
        self.state = {
            name: step[f"next_{name}"] if beam == 1 else _taken(step[f"next_{name}"], parents) for name in self.state
        }
        now["n_done"] = now["n_done"] + finished.sum(1)
        now["is_open"] = (now["n_done"] < beam) & (t + 1 < now["limits"]) & (now["totals"][:, 0] > -np.inf)

    def _finish(self, t: int, grown: _Array, ended: _Array) -> None:
        """Keep the best finished hypotheses by score: log-probability by length penalty (Wu et al. 2016, equation 14)."""
        now = self.open
        penalty = (np.float32(6 + t) / np.float32(6)) ** self.alpha
        scores = np.concatenate([now["scores"], ended / penalty], 1)
        best = _largest(scores, self.beam)
        now["scores"] = _taken(scores, best)
        now["done_totals"] = _taken(np.concatenate([now["done_totals"], ended], 1), best)
        now["done"] = _taken(np.concatenate([now["done"], grown], 1), best)


def _taken(values: _Array, places_bk: _Array) -> _Array:
    """Of each row the entries at its places."""
    return values[np.arange(len(values))[:, None], places_bk]


def _largest(values_bn: _Array, count: int) -> _Array:
    """The places of the largest values of each row, the largest first; of equal ones the first."""
    return np.argsort(-values_bn, 1, kind="stable")[:, :count]


class _Session:
    """A graph; the inputs that it has are taken from all that are given."""

    def __init__(self, path: Path) -> None:
        options = onnxruntime.SessionOptions()
        # Batches are translated side by side instead: threads within a small product cost more than they save.
        options.intra_op_num_threads = options.inter_op_num_threads = 1
        options.log_severity_level = 3
        self._session = onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
        self._inputs = [each.name for each in self._session.get_inputs()]
        self._outputs = [each.name for each in self._session.get_outputs()]

    def __call__(self, given: Mapping[str, _Array]) -> dict[str, _Array]:
        found = self._session.run(None, {name: given[name] for name in self._inputs})
        return dict(zip(self._outputs, found, strict=True))


def _batches(order: list[int], sources: list[list[int]], largest: int, threads: int) -> Iterator[list[int]]:
    """Batches of texts, which come in ascending order of length; batches of long texts are small."""
    size = min(largest, max(_SMALLEST_BATCH, -(-len(order) // threads)))
    start = 0
    while start < len(order):
        rows = order[start : start + size]
        while len(rows) > 1 and len(rows) * len(sources[rows[-1]]) > _MOST_POSITIONS:
            rows = rows[: len(rows) // 2]
        yield rows
        start += len(rows)


def _read_manifest(folder: Path) -> dict[str, Any]:
    path = folder / "manifest.json"
    if not path.is_file():
        raise ValueError(f"{folder}: no exported model: manifest.json is missing")
    try:
        found: Any = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise ValueError(f"{folder}: manifest.json is damaged: {error}") from error
    form = found.get("format") if isinstance(found, dict) else None
    if form != ["wordseq-onnx", 1]:
        raise ValueError(f"{folder}: manifest.json has the format {form}, expected ['wordseq-onnx', 1]")
    return dict(found)


def _damage(folder: Path, manifest: Mapping[str, Any], names: Iterable[str]) -> str:
    """What is wrong with the first of these files that is not as exported; empty if all are."""
    for name in names:
        if not (folder / name).is_file():
            return f"{name} is missing"
        digest = hashlib.sha256((folder / name).read_bytes()).hexdigest()
        # While a run is exported, the manifest has no sums yet.
        if digest != manifest.get("sha256", {}).get(name, digest):
            return f"{name} is damaged: its SHA-256 is not the one in manifest.json"
    return ""


def _beam_fault(beam: int | None) -> str:
    allowed = beam is None or 1 <= beam <= _LARGEST_BEAM
    return "" if allowed else f"must be from 1 to {_LARGEST_BEAM:,}, got {beam}"


def main(arguments: Sequence[str] | None = None) -> int:
    """The command line; returns the exit code: 0, 1 if a check fails, 2 for a mistake of the user."""
    parser = argparse.ArgumentParser(description="Translate lines of text: one line for each line of the input.")
    parser.add_argument("--input", type=Path, metavar="FILE", help="text in UTF-8 (default: standard input)")
    parser.add_argument(
        "--output", type=Path, metavar="FILE", help="file of the translations (default: standard output)"
    )
    parser.add_argument(
        "--beam",
        type=int,
        metavar="N",
        help=f"beam size, from 1 to {_LARGEST_BEAM:,}; 1: greedy (default: that of the run)",
    )
    parser.add_argument("--int8", action="store_true", help="use the 8-bit model (default: off)")
    parser.add_argument(
        "--threads", type=int, default=0, metavar="N", help="batches at a time; 0: one per processor (default: 0)"
    )
    parser.add_argument("--check", action="store_true", help="check files and model, translate nothing (default: off)")
    options = parser.parse_args(arguments)
    folder = Path(__file__).parent
    try:
        if fault := _beam_fault(options.beam):
            raise ValueError(f"--beam {fault}")
        if options.threads < 0:
            raise ValueError(f"--threads must be at least 0, got {options.threads}")
        if options.check:
            fault = _check(folder, options.int8)
            print(fault or "files and model are as exported")
            return int(bool(fault))
        translate = OnnxTranslator(folder, int8=options.int8, threads=options.threads)
        with contextlib.ExitStack() as stack:
            source = stack.enter_context(options.input.open("rb")) if options.input else sys.stdin.buffer
            _check_output(options.output, source)
            target = stack.enter_context(options.output.open("wb")) if options.output else sys.stdout.buffer
            for lines, fault in _read(translate, source):
                target.write("".join(f"{line}\n" for line in translate(lines, options.beam)).encode())
                target.flush()
                if fault:
                    raise ValueError(f"{options.input or 'standard input'}, {fault}")
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 141
    except ModuleNotFoundError as error:
        install = f"python -m pip install -r {folder / 'requirements.txt'}"
        print(f"translate.py: error: {error.name} is not installed: {install}", file=sys.stderr)
        return 2
    except (ValueError, OSError) as error:
        said: object = error
        if isinstance(error, OSError) and error.filename:
            reason = "not found" if isinstance(error, FileNotFoundError) else error.strerror
            said = f"{error.filename}: {reason}"
        print(f"translate.py: error: {said}", file=sys.stderr)
        return 2
    return 0


def _check(folder: Path, int8: bool) -> str:
    """What differs from the export, or empty."""
    try:
        # Damaged files are found before anything loads them.
        manifest = _read_manifest(folder)
        return _damage(folder, manifest, manifest["sha256"]) or OnnxTranslator(folder, int8=int8).check()
    except ValueError as error:
        return str(error)


def _check_output(path: Path | None, source: Any) -> None:
    if path is None:
        return
    if not path.absolute().parent.is_dir():
        raise ValueError(f"{path}: no folder {path.absolute().parent}")
    read = None
    with contextlib.suppress(io.UnsupportedOperation):  # The input is not a file of the system.
        read = os.fstat(source.fileno())
    if read and path.is_file() and os.path.samestat(read, path.stat()):
        raise ValueError(f"{path}: is the input; choose another --output")


def _read(translate: OnnxTranslator, file: Any) -> Iterator[tuple[list[str], str]]:
    """The lines as they arrive, some at a time; with the last ones what is wrong with the next line, or nothing."""
    rest, number = b"", 0
    while True:
        block = file.read1(2**18)
        *raw, rest = (rest + block).split(b"\n")
        raw += [rest] if rest and not block else []
        lines: list[str] = []
        for line in raw:
            number += 1
            try:
                # Editors on Windows put a byte-order mark before the first line.
                lines.append(line.rstrip(b"\r").decode("utf-8-sig" if number == 1 else "utf-8"))
                fault = translate.fault(lines[-1])
            except UnicodeDecodeError as error:
                lines.append("")
                fault = f"not UTF-8: {error.reason} at byte {error.start + 1}"
            if fault:
                yield lines[:-1], f"line {number}: {fault}"
                return
        if lines:
            yield lines, ""
        if not block:
            return


if __name__ == "__main__":
    sys.exit(main())
