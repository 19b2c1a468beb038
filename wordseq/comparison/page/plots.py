"""Charts of the page: matplotlib figures as inline SVG. matplotlib (extra `report`) is imported with the first chart."""

import io
import warnings
import xml.etree.ElementTree as ET
from collections.abc import Callable, Mapping, Sequence
from types import MappingProxyType
from typing import Any, NamedTuple

from wordseq.evaluation.metrics.names import LOWER_IS_BETTER
from wordseq.evaluation.tables import one_line

CURVE_POINTS = 400
"""The most points of a curve; longer curves are thinned out."""

# A colour that `_inline` replaces by currentColor, so that charts follow the dark and the light theme.
_INK = "#010203"

TEXT_AS_IT_IS = MappingProxyType({"text.parse_math": False, "axes.spines.top": False, "axes.spines.right": False})
"""Settings of matplotlib for all figures: a "$" in a text of a corpus starts no formula, and axes have no box."""

_SVG, _XLINK = "http://www.w3.org/2000/svg", "http://www.w3.org/1999/xlink"

# Legible on white and on near-black. Line styles and markers differ too, for readers who cannot tell the colours apart.
_COLOURS = ("#3b82d6", "#d9722e", "#2f9e68", "#b45bcf", "#c2a000", "#d64f6f", "#1fa3b5", "#8a8a8a")

_LINES, _MARKERS = ("-", "--", "-.", ":"), ("o", "s", "^", "D", "v", "P", "X", "*")


class Chart(NamedTuple):
    """A chart that is not drawn yet."""

    title: str
    """Caption; screen readers read it before the description."""
    description: str
    """Text for screen readers."""
    draw: Callable[[Any], None]
    """Called with matplotlib's axes."""
    size: tuple[float, float] = (5.2, 3.4)
    """Width and height in inches."""


def svg(chart: Chart, prefix: str) -> str:
    """A chart as SVG for a page. Its ids start with `prefix`, which must be unique on the page."""
    import matplotlib

    settings = {
        "svg.fonttype": "none",
        "svg.hashsalt": "wordseq",
        **TEXT_AS_IT_IS,
        "font.size": 10,
        "image.cmap": "viridis",
        **dict.fromkeys(("text.color", "axes.edgecolor", "axes.labelcolor", "xtick.color", "ytick.color"), _INK),
    }
    # Not pyplot, which keeps figures alive and looks for a display.
    with matplotlib.rc_context(settings), warnings.catch_warnings():
        # matplotlib warns of missing glyphs, but the text is drawn by the browser in its own fonts.
        warnings.simplefilter("ignore", UserWarning)
        from matplotlib.figure import Figure

        picture = Figure(figsize=chart.size, layout="constrained")
        chart.draw(picture.add_subplot())
        file = io.BytesIO()
        picture.savefig(file, format="svg", transparent=True, metadata={"Date": None})
    return _inline(file.getvalue(), f"{chart.title}. {chart.description}", prefix)


def _inline(file: bytes, label: str, prefix: str) -> str:
    """An SVG file as a part of a page: unique ids, the colour of the text, no metadata, no style sheet."""
    ET.register_namespace("", _SVG)
    ET.register_namespace("xlink", _XLINK)
    root = ET.fromstring(file)
    for parent in list(root.iter()):
        for tag in ("metadata", "style"):
            for child in parent.findall(f"{{{_SVG}}}{tag}"):
                parent.remove(child)
        for name, value in parent.attrib.items():
            if name == "id":
                parent.set(name, prefix + value)
            elif name == f"{{{_XLINK}}}href" and value.startswith("#"):
                parent.set(name, f"#{prefix}{value[1:]}")
            else:
                parent.set(name, value.replace("url(#", f"url(#{prefix}").replace(_INK, "currentColor"))
    # Without a height, the viewBox keeps the proportions when the page is narrow.
    root.attrib.pop("height", "")
    root.attrib.update({"role": "img", "aria-label": one_line(label), "style": f"width:{root.attrib.pop('width', '')}"})
    return ET.tostring(root, encoding="unicode")


def draw_curves(
    axes: Any, names: Sequence[str], curves: Sequence[Sequence[tuple[float, float]]], labels: tuple[str, str], log: bool
) -> None:
    """Draw one line per run through its points (x, y); `labels` are of the two axes, `log` makes the y axis logarithmic."""
    for k, (name, curve) in enumerate(zip(names, curves, strict=True)):
        points = curve[:: max(len(curve) // CURVE_POINTS, 1)]
        style = _style_of(k) | ({"marker": ""} if len(points) > 40 else {})
        axes.plot([x for x, _ in points], [y for _, y in points], label=one_line(name), **style)
    axes.set_xlabel(labels[0])
    axes.set_ylabel(labels[1])
    if log:
        # Ticks only at 1, 2, 5, 10 and so on: more labels would overlap.
        axes.set_yscale("log", subs=[])
        axes.yaxis.get_major_locator().set_params(subs=(1, 2, 5))
        axes.yaxis.set_major_formatter("{x:g}")
    _legend(axes, names)


def draw_intervals(axes: Any, rows: Sequence[Mapping[str, Any]], key: str) -> None:
    """Draw the score `key` of each row of a comparison with its 95 % interval."""
    for k, row in enumerate(rows):
        score = row[key]
        low, high = score["ci95"]
        ends = [[score["score"] - low], [high - score["score"]]]
        style = _style_of(k) | {"linestyle": "", "markersize": 6}
        axes.errorbar([score["score"]], [k], xerr=ends, capsize=4, **style)
    axes.set_yticks(range(len(rows)), [one_line(row["name"]) for row in rows])
    axes.set_ylim(len(rows) - 0.5, -0.5)
    axes.set_xlabel(f"{rows[0][key]['name']}, {'lower' if key in LOWER_IS_BETTER else 'higher'} is better")
    axes.grid(alpha=0.25)


def draw_lengths(
    axes: Any, names: Sequence[str], buckets: Sequence[str], series: Sequence[Sequence[float]], labels: tuple[str, str]
) -> None:
    """Draw one line per run: a score by length of the source; `labels` are of the two axes."""
    for k, (name, values) in enumerate(zip(names, series, strict=True)):
        axes.plot(range(len(buckets)), values, label=one_line(name), **_style_of(k))
    axes.set_xticks(range(len(buckets)), buckets)
    axes.set_xlabel(labels[0])
    axes.set_ylabel(labels[1])
    _legend(axes, names)


def draw_heat_map(axes: Any, src: Sequence[str], tgt: Sequence[str], weights: Sequence[Sequence[float]]) -> None:
    """Draw attention weights: one row per target token, one column per source token."""
    axes.imshow(weights, vmin=0, vmax=1, aspect="auto", interpolation="none")
    axes.set_xticks(range(len(src)), src, fontsize=8)
    for label in axes.get_xticklabels():
        # Upright where there is room: a quotation mark on its side looks like a dash.
        label.set_rotation(90 if len(label.get_text()) > 3 else 0)
    axes.set_yticks(range(len(tgt)), tgt, fontsize=8)
    axes.set_xlabel("source")
    axes.set_ylabel("output")


def _style_of(k: int) -> dict[str, Any]:
    return {
        "color": _COLOURS[k % len(_COLOURS)],
        "linestyle": _LINES[k % len(_LINES)],
        "marker": _MARKERS[k % len(_MARKERS)],
        "markersize": 4,
    }


def _legend(axes: Any, names: Sequence[str]) -> None:
    if len(names) > 1:
        axes.legend(frameon=False, fontsize=8)
    axes.grid(alpha=0.25)
