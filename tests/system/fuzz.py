"""Fuzzes every input: a result or a clear error, never another exception, a hang or all the memory.

    python tests/system/fuzz.py [MINUTES] [SEED] [TARGET]

For some minutes it damages good files at random and generates bad ones. It gives them to everything that reads input:
corpora (plain, .gz, .zip), files of every format, settings, tokenizers, vocabularies, run folders, text to translate. TARGET
restricts it to one of them. It prints minutes and counts by target. Anything but a result or a UserError is printed with the
number that repeats it, and the exit code is 1.
"""

import bz2
import contextlib
import dataclasses
import functools
import gzip
import io
import json
import lzma
import random
import resource
import shutil
import signal
import sys
import tempfile
import time
import traceback
import zipfile
from collections import Counter
from collections.abc import Callable, Mapping
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[2]))

from wordseq.system.tensorflow import import_tensorflow

import_tensorflow()

import zstandard

from tests.formats import CASES
from tests.runs import settings, some_pairs, write_pairs
from tests.strategies import _HOSTILE
from wordseq.batches.prepare import prepare_corpus
from wordseq.batches.preview import preview
from wordseq.config.data import DataConfig
from wordseq.config.load import load_config
from wordseq.config.schema import DecodeConfig
from wordseq.data.layout import files_of
from wordseq.data.readers.lines import BadLines
from wordseq.data.sources import FORMATS, Origin, Reading
from wordseq.decoding import stream
from wordseq.decoding.lines import translate_lines
from wordseq.decoding.translator import Translator
from wordseq.runs.describe import describe_run
from wordseq.runs.folder import BEST, LAST, RunFolder
from wordseq.system.errors import UserError
from wordseq.text.normalise import normalise
from wordseq.text.tokenizers import load_tokenizer, train_tokenizer
from wordseq.text.vocab import TextCodec
from wordseq.training.run import train_run

LF = b"\n"
SECONDS = 60
"""Of processor time for one case, and ten times as much of any other; longer is a hang."""
MEMORY = 3 * 2**30
"""Of address space beyond what is taken when it begins; more is a finding."""
BYTES = (b"\0", b"\xff", b"\xfe\xff", b"\xed\xa0\x80", b"\r", b"\n", b"\t", b"\\ud800", b"NaN", b"1e999", b"9" * 5000)
BYTES += (
    b"[" * 3000,
    b'"',
    b"{",
    b"-1",
    b"\xe2\x80\xae",
    b"\xef\xbb\xbf",
    b"PK\x05\x06",
    b"\x1f\x8b",
    b"null",
    b"true",
)


class Case:
    """One case: its chance, and a folder of its own."""

    def __init__(self, number: int, folder: Path, run: Path) -> None:
        self.chance, self.folder, self.run = random.Random(number), folder, run

    def text(self) -> str:
        """Text that breaks things."""
        chance = self.chance
        parts = [chance.choice(_HOSTILE), chr(chance.randrange(0xD800)), " ", "a b", "\u202e", "\0", "\u0301\u0327"]
        text = "".join(chance.choices(parts, k=chance.randint(0, 12)))
        return text * chance.choice((1, 1, 1, 1, 1, 50, 20_000)) if len(text) < 100 else text

    def damaged(self, content: bytes) -> bytes:
        """Content with some of it changed."""
        chance, data = self.chance, bytearray(content)
        for _ in range(chance.choice((1, 1, 2, 8))):
            place, size = chance.randrange(len(data) + 1), chance.choice((1, 2, 4, 40))
            how = chance.randrange(6)
            if how == 0:
                del data[place:]
            elif how == 1:
                del data[place : place + size]
            elif how == 2:
                data[place:place] = chance.choice(BYTES)
            elif how == 3:
                data[place : place + size] = chance.randbytes(size)
            elif how == 4:
                data[place : place + 1] = chance.choice(BYTES)
            else:
                start = chance.randrange(len(data) + 1)
                data[place:place] = data[start : start + size]
        return bytes(data)

    def write(self, name: str, content: bytes) -> Path:
        """A file in the case's folder."""
        path = self.folder / name
        path.write_bytes(content)
        return path


def corpus(case: Case) -> None:
    """A file of pairs: damaged, hostile, packed, packed and damaged, a bomb."""
    chance = case.chance
    lines = [f"{pair.src}\t{pair.tgt}" for pair in some_pairs()[:60]]
    for _ in range(chance.randint(0, 5)):
        lines.insert(chance.randrange(len(lines)), f"{case.text()}\t{case.text()}")
    content = "".join(f"{line}\n" for line in lines).encode("utf-8", "surrogatepass")
    if chance.random() < 0.5:
        content = case.damaged(content)
    if chance.random() < 0.02:
        content += chance.choice((b"\0" * 100, b"a" * 100, b"\n", "\u0301\u0327".encode())) * 1_000_000
    name = chance.choice(("pairs.tsv", "pairs.tsv.gz", "pairs.zip", "pairs.txt"))
    if name.endswith(".gz"):
        content = gzip.compress(content, 1)
    if name.endswith(".zip"):
        buffer = io.BytesIO()
        with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
            archive.writestr(chance.choice(("a.txt", "../a.txt", "/etc/a.txt", "a\\b.tsv", "C:a")), content)
        content = buffer.getvalue()
    if chance.random() < 0.3:
        content = case.damaged(content)
    path = case.write(name, content)
    bad, level = chance.choice(("stop", "skip")), chance.choice(("word", "word", "char", "bpe"))
    data = DataConfig(path=str(path), dev_size=5, test_size=5, on_bad_line=bad, level=level, subword_size=300)
    try:
        prepare_corpus(data, case.folder / "cache", say=lambda _: None)
    finally:
        outside = [found for found in case.folder.iterdir() if found.name not in (name, "cache")]
        if outside:
            raise AssertionError(f"written outside: {outside}")


UNPACKED: Mapping[str, Callable[[bytes], bytes]] = {
    ".gz": gzip.decompress,
    ".xz": lzma.decompress,
    ".bz2": bz2.decompress,
    ".zst": zstandard.decompress,
}
PACKED: Mapping[str, Callable[[bytes], bytes]] = {
    ".gz": gzip.compress,
    ".xz": lzma.compress,
    ".bz2": bz2.compress,
    ".zst": zstandard.compress,
}
SLOW = 10
"""Seconds of processor time that a small file may take."""
RENAMED = ("", ".txt", ".tsv", ".csv", ".json", ".jsonl", ".tmx", ".po", ".mo", ".parquet", ".gz", ".zip", ".zst")


@functools.cache
def good_files(number: int) -> dict[str, bytes]:
    """The files of a case of `tests.formats`."""
    with tempfile.TemporaryDirectory() as name:
        CASES[number].files(Path(name))
        return {
            str(path.relative_to(name)): path.read_bytes() for path in sorted(Path(name).rglob("*")) if path.is_file()
        }


def damaged_files(case: Case) -> DataConfig:
    """Files of some format, one of them damaged, before or after it is compressed; its settings, or others."""
    chance, number = case.chance, case.chance.randrange(len(CASES))
    files = dict(good_files(number))
    name = chance.choice(list(files))
    suffix = Path(name).suffix
    content = files[name]
    if suffix in UNPACKED and chance.random() < 0.7:
        content = PACKED[suffix](case.damaged(UNPACKED[suffix](content)))
    elif suffix == ".zip" and chance.random() < 0.7:
        content = repacked(case, content)
    else:
        content = case.damaged(content)
    data = CASES[number].data(case.folder)
    changed = {}
    if chance.random() < 0.1 and len(files) == 1 and data.train.endswith(name):
        # The name says another format, or nothing.
        files = {}
        name = f"x{chance.choice(RENAMED)}"
        changed["train"] = str(case.folder / name)
    files[name] = content
    for key, choices in SETTINGS.items():
        if chance.random() < 0.05:
            changed[key] = chance.choice(choices)
    for path, written in files.items():
        (case.folder / path).parent.mkdir(parents=True, exist_ok=True)
        case.write(path, written)
    return dataclasses.replace(data, on_bad_line=chance.choice(("stop", "skip")), **changed)


SETTINGS: Mapping[str, tuple[str, ...]] = {
    "format": tuple(FORMATS),
    "encoding": ("utf-16", "cp1252", "gb18030", "utf-32", "shift_jis", "utf-7", "iso2022_jp"),
    "src_column": ("1", "2", "en", "99"),
    "tgt_column": ("2", "1", "fr", "source"),
    "src_lang": ("en", "fr", "ru"),
    "tgt_lang": ("fr", "en", "zh-CN"),
    "header": ("yes", "no"),
}


def repacked(case: Case, content: bytes) -> bytes:
    """An archive with a damaged member."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(content)) as old, zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as new:
        chosen = case.chance.choice(old.namelist())
        for member in old.namelist():
            new.writestr(member, case.damaged(old.read(member)) if member == chosen else old.read(member))
    return buffer.getvalue()


def formats(case: Case) -> None:
    """All pairs of a damaged file, in less than `SLOW` seconds."""
    data, start = damaged_files(case), time.process_time()
    try:
        origin = Origin(data.train, files_of(data))
        for part in origin.parts:
            for row in origin.rows(data, BadLines(data.on_bad_line), part, Reading()):
                row.src.encode()
                row.tgt.encode()
    finally:
        if time.process_time() - start > SLOW:
            raise AssertionError(f"{time.process_time() - start:.1f} s")


def show(case: Case) -> None:
    """What `wordseq data show` prints of a damaged file."""
    found = preview(damaged_files(case), None, lambda _: None)
    str(found).encode()
    json.dumps(found.to_dict(), allow_nan=False)


TOKENIZERS = [
    train_tokenizer(level, [pair.src for pair in some_pairs()[:300]], subword_size=400)
    for level in ("word", "char", "bpe", "unigram")
]


def tokens(case: Case) -> None:
    """Any text can be restored from its tokens, and odd tokens give some text."""
    text, tokenizer = normalise(case.text()), case.chance.choice(TOKENIZERS)
    found = tokenizer.tokenize(text)
    if tokenizer.detokenize(found) != text:
        raise AssertionError(f"{tokenizer.level} does not give back {text[:80]!r}")
    case.chance.shuffle(found)
    tokenizer.detokenize([*found[:1000], case.text()[:1000]]).encode()


def configuration(case: Case) -> None:
    """A settings file, and settings on the command line."""
    content = case.damaged((case.run / "config.toml").read_bytes())
    number = case.chance.choice(
        ("9" * 5000, "-1", "1e400", "nan", "2026-13-45", "[1]", "0x7fffffffffff", '"a"', "true")
    )
    sets = [f"model.hidden_size={number}", f"train.learning_rate={number}", case.text()[:99], f"data.seed={number}"]
    load_config(case.write("config.toml", content), case.chance.choices(sets, k=case.chance.randint(0, 1)))


def texts(case: Case) -> None:
    """Files of tokenizers and vocabularies, in one of which something is changed."""
    folder = case.folder / "codec"
    folder.mkdir()
    tokenizer = case.chance.choice(TOKENIZERS)
    tokenizer.save(folder, "src")
    shutil.copy(case.run / "src.vocab.json", folder)
    path = case.chance.choice(sorted(folder.iterdir()))
    path.write_bytes(case.damaged(path.read_bytes()))
    load_tokenizer(folder, "src")
    codec = TextCodec.load(folder, "src")
    codec.to_text(codec.to_ids(normalise(case.text()[:1000]))).encode()


def run_folder(case: Case) -> None:
    """A run in which a file is damaged, or an array lies about its size."""
    chance, run = case.chance, RunFolder(case.folder / "run")
    shutil.copytree(case.run, run.folder)
    path = chance.choice([path for path in sorted(run.folder.iterdir()) if path.is_file()])
    if path.suffix == ".safetensors" and chance.random() < 0.6:
        path.write_bytes(lying_checkpoint(case, path.read_bytes()))
    else:
        path.write_bytes(case.damaged(path.read_bytes()))
    list(run.metrics())
    for look in (lambda: run.load(BEST), lambda: run.load(LAST), lambda: run.codecs, lambda: run.config):
        with contextlib.suppress(UserError):
            look()
    for look in (lambda: run.held_out("test"), lambda: describe_run(run)):
        with contextlib.suppress(UserError):
            json.dumps(look(), default=dataclasses.asdict, ensure_ascii=False).encode()
    if chance.random() < 0.1:
        Translator.load(run.folder)(["A cow.", "", case.text()[:100]])[0].encode()


def lying_checkpoint(case: Case, content: bytes) -> bytes:
    """A checkpoint whose header gives other sizes, shapes, places and kinds of arrays, or another length of itself."""
    chance, size = case.chance, int.from_bytes(content[:8], "little")
    header, arrays = json.loads(content[8 : 8 + size]), content[8 + size :]
    for name in list(header):
        if name == "__metadata__":
            if chance.random() < 0.2:
                header[name] = chance.choice(({}, None, {"wordseq": "[]"}, {"wordseq": case.text()}))
            continue
        if chance.random() < 0.1:
            shapes = ([99999999999], [-1], [], [2, 2, 2], ["a"], [9999999, 999999], [2**63, 2**63], [0], [0, 2**62])
            header[name]["shape"] = chance.choice(shapes)
        if chance.random() < 0.05:
            header[name]["data_offsets"] = chance.choice(([0, 0], [0, 2**62], [8, 0], [len(arrays), len(arrays)], []))
        if chance.random() < 0.05:
            header[name]["dtype"] = chance.choice(("F64", "BF16", "BOOL", "F8_E4M3", "O", "I8", ""))
    text = json.dumps(header).encode()
    length = len(text) if chance.random() < 0.9 else chance.choice((0, 1, len(text) - 1, 2**40, 2**63, 2**64 - 1))
    if chance.random() < 0.1:
        arrays = chance.choice((arrays[:-1], b"", arrays + b"\0" * 50_000_000))
    return length.to_bytes(8, "little") + text + arrays


TRANSLATORS: list[Translator] = []
DECODE = DecodeConfig(max_len_ratio=0.0, max_len_extra=3)


def translation(case: Case) -> None:
    """Lines to translate."""
    chance = case.chance
    lines = [case.text().encode("utf-8", "surrogatepass") for _ in range(chance.randint(0, 6))]
    lines = [line[: chance.choice((100, 2000))] if chance.random() < 0.9 else line for line in lines]
    lines += [b"zork " * chance.choice((1, 1, 1, 51_000)), b"A cow."]
    content = b"\n".join(chance.choices(lines, k=len(lines)))
    if chance.random() < 0.3:
        content = case.damaged(content)
    if chance.random() < 0.03:
        content += b"\n" + chance.choice((b"a", b"\0", b" ", "\u0301\u0327".encode())) * 10_000_000
    source, target = case.write("in", content), case.folder / "out"
    translator = TRANSLATORS[0]
    fault = None
    try:
        stream.translate_file(translator, lambda found: translate_lines(translator, found, DECODE, 1), source, target)
    except UserError as error:
        fault = error
    written = target.read_bytes()
    number = content.count(b"\n") + (not content.endswith(b"\n") and content != b"")
    if fault:
        number = int(str(fault).split("line ")[1].split(":")[0]) - 1
    if written.count(b"\n") != number or (written and not written.endswith(b"\n")):
        raise AssertionError(f"{written.count(LF)} lines written, expected {number}")
    if fault:
        raise fault


TARGETS: dict[str, tuple[Callable[[Case], None], int]] = {
    "corpora": (corpus, 6),
    "files of every format": (formats, 60),
    "data show": (show, 1),
    "tokenizers": (tokens, 10),
    "settings": (configuration, 10),
    "tokenizer and vocabulary files": (texts, 6),
    "run folders": (run_folder, 4),
    "text to translate": (translation, 4),
}


class TooSlow(BaseException):
    """A case hangs."""


def hang(*_: object) -> None:
    """Called by the alarm."""
    raise TooSlow


def main() -> int:
    """Fuzz; 1 if anything was found."""
    minutes = float(sys.argv[1]) if len(sys.argv) > 1 else 1.0
    number = int(sys.argv[2]) if len(sys.argv) > 2 else 1
    counts: Counter[tuple[str, str]] = Counter()
    start = time.monotonic()
    with tempfile.TemporaryDirectory() as name:
        good = Path(name) / "good"
        train_run(load_config(None, settings(write_pairs(Path(name) / "pairs.tsv"))), good, say=lambda _: None)
        TRANSLATORS.append(Translator.load(good))
        TRANSLATORS[0].translate(["A cow."], DECODE)
        used = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
        resource.setrlimit(resource.RLIMIT_AS, (used + MEMORY, resource.RLIM_INFINITY))
        for number_of_signal in (signal.SIGALRM, signal.SIGPROF):
            signal.signal(number_of_signal, hang)
        while time.monotonic() - start < minutes * 60:
            names = sys.argv[3:4] or list(TARGETS)
            target = random.Random(number).choices(names, [TARGETS[name][1] for name in names])[0]
            folder = Path(name) / "case"
            folder.mkdir()
            counts[target, one(number, target, Case(number, folder, good))] += 1
            shutil.rmtree(folder)
            number += 1
    print(f"{(time.monotonic() - start) / 60:.1f} minutes")
    for target in TARGETS:
        found = {kind: counts[target, kind] for kind in ("results", "clear errors", "findings")}
        print(f"{target}: " + ", ".join(f"{count:,} {kind}" for kind, count in found.items()))
    return int(any(kind == "findings" for _, kind in counts))


def one(number: int, target: str, case: Case) -> str:
    """What became of one case."""
    signal.setitimer(signal.ITIMER_PROF, SECONDS)
    signal.alarm(10 * SECONDS)
    try:
        with contextlib.redirect_stderr(io.StringIO()):
            TARGETS[target][0](case)
    except UserError as error:
        if len(str(error).splitlines()) != 1 or len(str(error)) > 5000:
            print(f"case {number}, {target}: an error that is no line: {str(error)[:300]!r}", flush=True)
            return "findings"
        return "clear errors"
    except (Exception, TooSlow):
        print(f"case {number}, {target}:\n{traceback.format_exc(limit=-6)[-3000:]}", flush=True)
        return "findings"
    else:
        return "results"
    finally:
        signal.alarm(0)
        signal.setitimer(signal.ITIMER_PROF, 0)


if __name__ == "__main__":
    sys.exit(main())
