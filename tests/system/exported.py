"""Trained runs of every cell, token level and attention, and their exports: the lines of both for a thousand sentences.

    python -m tests.system.exported [FOLDER] [--updates 600] [--sentences 1000]

The runs learn the phrasebook in FOLDER (default: a temporary folder) and are not trained again if they are there. For each it
prints a row of a table: lines of the ONNX graphs and of the SavedModel that differ from those of `wordseq translate`, greedily
and with a beam of 5, and BLEU of float32 and int8. It ends with status 1 if more than one line in 1,000 differs, or if int8
loses more than 0.5 BLEU.
"""

import argparse
import json
import sys
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

from tests.runs import wordseq
from wordseq.system.tensorflow import import_tensorflow

import_tensorflow()

import tensorflow as tf

from wordseq.config.data import LEVELS
from wordseq.config.schema import CELLS, PROBABILITY_MAPS
from wordseq.decoding.translator import Translator
from wordseq.export.onnx_folder import export_onnx
from wordseq.export.saved_model import export_saved_model
from wordseq.export.translate import OnnxTranslator
from wordseq.runs.folder import RunFolder

ATTENTION = ("none", "dot", "general", "additive")
BEAMS = (1, 5)
MOST_DIFFER = 1e-3
"""Share of the lines, at most: near ties."""
MOST_LOST = 0.5
"""BLEU that int8 loses, at most."""


def some_runs() -> Iterator[tuple[str, list[str]]]:
    """Name and settings of runs: each cell once, with levels, kinds of attention and attention maps in turn."""
    for k, cell in enumerate(CELLS):
        level, attention = LEVELS[(k + k // 4) % 4], ATTENTION[k % 4]
        maps = PROBABILITY_MAPS[k % len(PROBABILITY_MAPS)]
        settings = [f"model.cell={cell}", f"data.level={level}", f"model.attention={attention}"]
        if attention != "none":
            settings += [f"model.attention_map={maps}", f"model.input_feeding={str(k % 3 == 1).lower()}"]
        yield "-".join((cell, level, attention)), settings


def differ(some: Sequence[str], others: Sequence[str]) -> int:
    """How many lines are not the same."""
    return sum(a != b for a, b in zip(some, others, strict=True))


def compared(run: RunFolder, folder: Path, sentences: int) -> tuple[str, bool]:
    """A row of the table, and whether all is as it must be."""
    texts = run.held_out("test").sources[:sentences]
    decode = replace(run.config.decode, precision="float32")
    ours = Translator.load(run, precision="float32")
    wanted = {beam: [best.text for (best,) in ours.translate(texts, replace(decode, beam_size=beam))] for beam in BEAMS}
    exported = OnnxTranslator(export_onnx(run, folder / "onnx", say=lambda line: None))
    counts = [differ(exported(texts, beam), wanted[beam]) for beam in BEAMS]
    places = [str(count) for count in counts]
    if run.config.data.level in ("char", "word"):
        saved = tf.saved_model.load(str(export_saved_model(run, folder / "saved", say=lambda line: None)))
        lines = saved.signatures["serving_default"](texts=tf.constant(texts))["translations"].numpy()
        counts.append(differ([line.decode() for line in lines], wanted[run.config.decode.beam_size]))
        places.append(str(counts[-1]))
    else:
        places.append("ids")
    models = json.loads((folder / "onnx" / "manifest.json").read_text(encoding="utf-8"))["models"]
    full, small = (models[name]["scores"]["bleu"]["score"] for name in ("float32", "int8"))
    good = max(counts) <= MOST_DIFFER * len(texts) and full - small <= MOST_LOST
    row = [run.folder.name, len(texts), len(set(wanted[1])), *places, f"{full:.2f}", f"{small:.2f}"]
    return "| " + " | ".join(map(str, row)) + " |", good


def main() -> int:
    """Print the table."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n", maxsplit=1)[0])
    parser.add_argument("folder", nargs="?", type=Path, help="of the runs")
    parser.add_argument("--updates", type=int, default=600, help="of each run; default: 600")
    parser.add_argument("--sentences", type=int, default=1000, help="default: 1,000")
    options = parser.parse_args()
    print("| run | lines | different | ONNX greedy | ONNX beam 5 | SavedModel | BLEU | BLEU int8 |")
    print("|:--|--:|--:|--:|--:|--:|--:|--:|", flush=True)
    all_good = True
    with tempfile.TemporaryDirectory() as name:
        folder = options.folder or Path(name)
        for run_name, settings in some_runs():
            place = folder / run_name
            if not (place / "eval").is_dir():
                limits = [f"train.max_steps={options.updates}", "data.test_size=1000"]
                words = [word for text in [*settings, *limits] for word in ("--set", text)]
                done = wordseq("train", "--run", str(place), *words, timeout=None)
                if done.returncode:
                    print(done.stderr, file=sys.stderr)
                    return 1
            with tempfile.TemporaryDirectory() as exports:
                row, good = compared(RunFolder.open(place), Path(exports), options.sentences)
            print(row, flush=True)
            all_good &= good
    return 0 if all_good else 1


if __name__ == "__main__":
    sys.exit(main())
