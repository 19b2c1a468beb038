"""Results of benchmarks as plain-text tables, with numbers aligned to the right."""

from collections.abc import Mapping, Sequence
from typing import Any

from wordseq.evaluation.tables import number, text_table
from wordseq.system.progress import counted

_FIGURES: Mapping[str, tuple[str, str]] = {
    "train_tokens_per_second": ("tokens/s", ",.0f"),
    "peak_share": ("of peak", ".0%"),
    "greedy_sentences_per_second": ("greedy/s", ",.0f"),
    "beam5_sentences_per_second": ("beam 5/s", ",.0f"),
    "batch1_ms": ("one, ms", ".1f"),
    "cold_start_seconds": ("start, s", ".1f"),
    "peak_memory_mb": ("MB", ",.0f"),
    "milliseconds": ("ms", ".1f"),
    "share": ("share", ".0%"),
    "products_ms": ("products at peak, ms", ".1f"),
    "mflop_per_token": ("MFLOP/token", ",.1f"),
    "plan_seconds": ("plan, s", ".2f"),
}
"""Key of a figure -> its heading and format."""

_NAMES = ("system", "cell", "precision")


def bench_table(result: Mapping[str, Any]) -> str:
    """The result of `measure_speed`."""
    costs = ", ".join(f"{value:.1f} with {cell}" for cell, value in result["mflop_per_token"].items())
    task = f"{result['task']}; MFLOP of matrix products per target token in training: {costs}"
    ratios = [_ratio(ratio) for ratio in result["ratios"]]
    return _page([task, _peaks(result)], [_table(_NAMES, result["rows"])], ratios, _foot(result))


def grow_table(result: Mapping[str, Any]) -> str:
    """The result of `measure_growth`."""
    return _page([_table((result["grow"], *_NAMES[1:]), result["rows"])], _foot(result))


def parts_table(result: Mapping[str, Any]) -> str:
    """The result of `measure_parts`."""
    # The encoder runs once per batch, so it has no share of a step.
    searches = [{**row, "share": None} if row["part"] == "encoder" else row for row in result["search_rows"]]
    task = f"{result['task']}; {result['tokens_per_update']:,} real target tokens per update"
    training, search = _table(("part", *_NAMES[1:]), result["rows"]), _table(("search", "part", *_NAMES[1:]), searches)
    return _page([task, _peaks(result)], [training], [search], _foot(result))


def _page(*blocks: Sequence[str]) -> str:
    """Blocks of lines, separated by empty lines."""
    return "\n\n".join("\n".join(lines) for lines in blocks if lines) + "\n"


def _peaks(result: Mapping[str, Any]) -> str:
    found = ", ".join(f"{value:,.0f} GFLOP/s in {name}" for name, value in result["gemm_peak_gflops"].items())
    return f"matrix products reach {found}"


def _ratio(ratio: Mapping[str, Any]) -> str:
    low, high = ratio["range"]
    what = {"train": "training", "greedy": "greedy decoding"}[ratio["measure"]]
    return (
        f"{what}, {ratio['cell']} {ratio['precision']}: {ratio['ratio']:.2f} times as fast as {ratio['against']} "
        f"({low:.2f} to {high:.2f})"
    )


def _foot(result: Mapping[str, Any]) -> list[str]:
    machine = result["machine"]
    versions = ", ".join(f"{name} {version}" for name, version in result["versions"].items())
    return [*result["notes"], f"{machine['cpu']}, {counted(machine['cores'], 'core')}; {versions}; {result['commit']}"]


def _table(names: Sequence[str], rows: Sequence[Mapping[str, Any]]) -> str:
    keys = [key for key in _FIGURES if any(key in row for row in rows)]
    header = [*names, *(_FIGURES[key][0] for key in keys)]
    cells = (
        [*(f"{row[name]:,}" if isinstance(row[name], int) else row[name] for name in names)]
        + [number(row[key], _FIGURES[key][1]) for key in keys]
        for row in rows
    )
    return text_table(header, cells, right=range(len(names), len(header)))
