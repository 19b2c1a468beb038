"""What was measured, for people: plain text, numbers to the right."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

NOTHING = "–"

COLUMNS: Mapping[str, tuple[str, str]] = {
    "train_tokens_per_second": ("tokens/s", ",.0f"),
    "peak_share": ("of peak", ".0%"),
    "greedy_sentences_per_second": ("greedy/s", ",.0f"),
    "beam5_sentences_per_second": ("beam 5/s", ",.0f"),
    "batch1_ms": ("one, ms", ".1f"),
    "cold_start_seconds": ("start, s", ".1f"),
    "peak_memory_mb": ("MB", ",.0f"),
    "milliseconds": ("ms", ".1f"),
    "share": ("of whole", ".0%"),
    "products_ms": ("products at peak, ms", ".1f"),
    "mflop_per_token": ("MFLOP/token", ",.1f"),
    "plan_seconds": ("plan, s", ".2f"),
}
"""Key of a figure -> its heading and form."""

NAMES = ("system", "cell", "precision")


def bench_table(result: Mapping[str, Any]) -> str:
    """What `measure.bench` returned."""
    costs = ", ".join(f"{value:.1f} with {cell}" for cell, value in result["mflop_per_token"].items())
    lines = [
        f"{result['task']}; MFLOP of matrix products a target token in training: {costs}",
        _peaks(result),
        "",
        _table(NAMES, result["rows"]),
        "",
        *map(_ratio, result["ratios"]),
        "",
        *_foot(result),
    ]
    return "\n".join(lines) + "\n"


def grow_table(result: Mapping[str, Any]) -> str:
    """What `measure.grow` returned."""
    return "\n".join([_table((result["grow"], *NAMES[1:]), result["rows"]), "", *_foot(result)]) + "\n"


def parts_table(result: Mapping[str, Any]) -> str:
    """What `measure.parts` returned."""
    # The encoder is no part of a step.
    searches = [{**row, "share": None} if row["part"] == "encoder" else row for row in result["search_rows"]]
    lines = [
        f"{result['task']}; {result['tokens_per_update']:,} real target tokens an update",
        _peaks(result),
        "",
        _table(("part", *NAMES[1:]), result["rows"]),
        "",
        _table(("search", "part", *NAMES[1:]), searches),
        "",
        *_foot(result),
    ]
    return "\n".join(lines) + "\n"


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
    return [*result["notes"], f"{machine['cpu']}, {machine['cores']} cores; {versions}; {result['commit']}"]


def _table(names: Sequence[str], rows: Sequence[Mapping[str, Any]]) -> str:
    keys = [key for key in COLUMNS if any(key in row for row in rows)]
    lines = [[*names, *(COLUMNS[key][0] for key in keys)]]
    lines += [
        [*(_name(row[name]) for name in names), *(_figure(row[key], COLUMNS[key][1]) for key in keys)] for row in rows
    ]
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    return "\n".join(_line(cells, widths, len(names)) for cells in lines)


def _line(cells: Iterable[str], widths: Sequence[int], names: int) -> str:
    padded = zip(cells, widths, strict=True)
    return "  ".join(cell.ljust(width) if k < names else cell.rjust(width) for k, (cell, width) in enumerate(padded))


def _name(value: str | int) -> str:
    return f"{value:,}" if isinstance(value, int) else value


def _figure(value: float | None, form: str) -> str:
    return NOTHING if value is None else format(value, form)
