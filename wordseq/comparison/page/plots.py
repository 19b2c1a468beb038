"""Plots of the page: matplotlib figures as inline SVG."""

import html
import io
import warnings
import xml.etree.ElementTree as ET
from collections.abc import Mapping, Sequence
from typing import Any

from wordseq.evaluation.tables import one_line

CURVE_POINTS = 400
"""A curve is thinned to so many points."""

# In matplotlib's pictures this colour stands for that of the text around, which is dark or light as the reader wants.
_INK = "#010203"

_SVG, _XLINK = "http://www.w3.org/2000/svg", "http://www.w3.org/1999/xlink"

# Legible on white and on near-black; runs differ by line and marker too.
_COLOURS = ("#3b82d6", "#d9722e", "#2f9e68", "#b45bcf", "#c2a000", "#d64f6f", "#1fa3b5", "#8a8a8a")

_LINES, _MARKERS = ("-", "--", "-.", ":"), ("o", "s", "^", "D", "v", "P", "X", "*")


class _Numbers:
    """1, 2, 3 ... for the ids of one page."""

    def __init__(self) -> None:
        self.last = 0

    def __next__(self) -> int:
        self.last += 1
        return self.last


IDS = _Numbers()


def figure(title: str, description: str, draw: Any, size: tuple[float, float] = (5.2, 3.4)) -> str:
    """A picture as inline SVG with a title, drawn by `draw(axes)`."""
    import matplotlib

    settings = {
        "svg.fonttype": "none",
        "svg.hashsalt": "wordseq",
        # Words of a corpus are no formulas.
        "text.parse_math": False,
        "axes.spines.top": False,
        "axes.spines.right": False,
        "font.size": 10,
        "image.cmap": "viridis",
        **dict.fromkeys(("text.color", "axes.edgecolor", "axes.labelcolor", "xtick.color", "ytick.color"), _INK),
    }
    # Not pyplot, which keeps figures and looks for a display.
    with matplotlib.rc_context(settings), warnings.catch_warnings():
        # The reader's browser has the letters that matplotlib's own font lacks.
        warnings.simplefilter("ignore", UserWarning)
        from matplotlib.figure import Figure

        figure = Figure(figsize=size, layout="constrained")
        draw(figure.add_subplot())
        file = io.BytesIO()
        figure.savefig(file, format="svg", transparent=True, metadata={"Date": None})
    return (
        f"<figure>{_inline(file.getvalue(), f'{title}. {description}')}<figcaption>{text(title)}</figcaption></figure>"
    )


def _inline(svg: bytes, label: str) -> str:
    """An SVG file as a part of a page: ids of its own, the text's colour, no metadata, no style for the whole page."""
    ET.register_namespace("", _SVG)
    ET.register_namespace("xlink", _XLINK)
    root = ET.fromstring(svg)
    prefix = f"f{next(IDS)}-"
    for parent in list(root.iter()):
        for child in list(parent):
            if child.tag == f"{{{_SVG}}}metadata":
                parent.remove(child)
        for style in parent.findall(f"{{{_SVG}}}style"):
            parent.remove(style)
        for name, value in parent.attrib.items():
            parent.set(name, _own(name, value, prefix))
    # The viewBox keeps the proportions.
    root.attrib.pop("height", "")
    root.attrib.update({"role": "img", "aria-label": one_line(label), "style": f"width:{root.attrib.pop('width', '')}"})
    return ET.tostring(root, encoding="unicode")


def _own(name: str, value: str, prefix: str) -> str:
    if name == "id":
        return prefix + value
    if name == f"{{{_XLINK}}}href" and value.startswith("#"):
        return f"#{prefix}{value[1:]}"
    return value.replace("url(#", f"url(#{prefix}").replace(_INK, "currentColor")


def _style_of(k: int) -> dict[str, Any]:
    return {
        "color": _COLOURS[k % len(_COLOURS)],
        "linestyle": _LINES[k % len(_LINES)],
        "marker": _MARKERS[k % len(_MARKERS)],
        "markersize": 4,
    }


def curve(
    names: Sequence[str],
    logs: Sequence[Sequence[Mapping[str, Any]]],
    title: str,
    x_label: str,
    y_label: str,
    x: Any,
    y: Any,
    log: bool = False,
) -> str:
    """One line for each run: `y` against `x` of the entries of its log."""

    def draw(axes: Any) -> None:
        for k, (name, entries) in enumerate(zip(names, logs, strict=True)):
            points = entries[:: max(len(entries) // CURVE_POINTS, 1)]
            style = _style_of(k) | ({"marker": ""} if len(points) > 40 else {})
            axes.plot([x(entry) for entry in points], [y(entry) for entry in points], label=one_line(name), **style)
        axes.set_xlabel(x_label)
        axes.set_ylabel(y_label)
        if log:
            # Numbers at 1, 2, 5, 10 and so on alone: more would lie on each other.
            axes.set_yscale("log", subs=[])
            axes.yaxis.get_major_locator().set_params(subs=(1, 2, 5))
            axes.yaxis.set_major_formatter("{x:g}")
        _legend(axes, names)

    return figure(title, f"A line a run: {y_label} against {x_label}.", draw)


def _legend(axes: Any, names: Sequence[str]) -> None:
    if len(names) > 1:
        axes.legend(frameon=False, fontsize=8)
    axes.grid(alpha=0.25)


def interval_plot(rows: Sequence[Mapping[str, Any]], key: str) -> str:
    """The score `key` of each run with its 95 % interval."""
    name = rows[0][key]["name"]

    def draw(axes: Any) -> None:
        for k, row in enumerate(rows):
            score = row[key]
            low, high = score["ci95"]
            ends = [[score["score"] - low], [high - score["score"]]]
            style = _style_of(k) | {"linestyle": "", "markersize": 6}
            axes.errorbar([score["score"]], [k], xerr=ends, capsize=4, **style)
        axes.set_yticks(range(len(rows)), [one_line(row["name"]) for row in rows])
        axes.set_ylim(len(rows) - 0.5, -0.5)
        axes.set_xlabel(f"{name}, {'lower' if key == 'ter' else 'higher'} is better")
        axes.grid(alpha=0.25)

    spoken = "; ".join(f"{row['name']} {row[key]['score']:.1f}" for row in rows)
    size = (5.2, 1.2 + 0.35 * len(rows))
    return figure(f"{name} with 95 % intervals", f"{spoken}.", draw, size)


def draw_lengths(axes: Any, names: Sequence[str], buckets: Sequence[str], series: Sequence[Sequence[float]]) -> None:
    """One line for each run: BLEU by length of the source."""
    for k, (name, values) in enumerate(zip(names, series, strict=True)):
        axes.plot(range(len(buckets)), values, label=one_line(name), **_style_of(k))
    axes.set_xticks(range(len(buckets)), buckets)
    axes.set_xlabel("source words")
    axes.set_ylabel("BLEU")
    _legend(axes, names)


def draw_heat_map(axes: Any, src: Sequence[str], tgt: Sequence[str], weights: Sequence[Sequence[float]]) -> None:
    """Attention weights: a row for each target token, a column for each source token."""
    axes.imshow(weights, vmin=0, vmax=1, aspect="auto", interpolation="none")
    axes.set_xticks(range(len(src)), src, rotation=90, fontsize=8)
    axes.set_yticks(range(len(tgt)), tgt, fontsize=8)


def text(value: str) -> str:
    """Text as HTML shows it, on one line, controls and turns of the writing direction made visible."""
    return html.escape(one_line(value), quote=True)
