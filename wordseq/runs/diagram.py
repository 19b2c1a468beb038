"""A picture of a run's three models, as SVG: the model as trained, its encoder, and one step of its decoder."""

import html
import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from wordseq.config.schema import ModelConfig

MOST_BOXES = 4
"""A deeper stack is drawn as one box."""

CHAR, BOLD_CHAR = 6.9, 7.5
"""Width of a character in pixels. Generous, because the reader's font is not known here."""

LINE, PADDING, ROW_GAP, PANEL_GAP, MARGIN, LANE = 17, 9, 30, 48, 20, 13

LEGEND = "b sentences, s source tokens, t target tokens, k hypotheses per sentence"

# Without CSS variables: not all programs that show SVG support them.
STYLE = """
text { font: 12px system-ui, "Segoe UI", "DejaVu Sans", sans-serif; fill: #1f2933; }
.title { font-weight: 600; } .panel { font-size: 15px; font-weight: 600; } .faint { fill: #52606d; }
.ground { fill: #ffffff; } .box { stroke: #7b8794; } .data { fill: #f0f4f8; } .layer { fill: #dbeafe; }
.arrow { fill: none; stroke: #7b8794; stroke-width: 1.5; } .dashed { stroke-dasharray: 5 4; } .tip { fill: #7b8794; }
@media (prefers-color-scheme: dark) {
  text { fill: #e4e7eb; } .faint { fill: #9aa5b1; } .ground { fill: #14181d; }
  .data { fill: #232a32; } .layer { fill: #1e3a5f; }
}
"""


@dataclass(frozen=True)
class Box:
    """A layer, or data that goes into or out of layers, in column 0 or 1."""

    key: str
    column: int
    title: str
    details: tuple[str, ...]
    layer: bool = True

    @property
    def width(self) -> float:
        """Width of the longest line, with padding."""
        return 2 * PADDING + max(len(self.title) * BOLD_CHAR, *(len(line) * CHAR for line in self.details))

    @property
    def height(self) -> float:
        """Height of all lines, with padding."""
        return 2 * PADDING + LINE * (1 + len(self.details))


@dataclass(frozen=True)
class Arrow:
    """From one box to another: down its column, from column 0 to 1, or, dashed, around the right edge of its column."""

    start: str
    end: str
    label: str = ""
    dashed: bool = False


@dataclass(frozen=True)
class Panel:
    """One of the three models."""

    title: str
    boxes: tuple[Box, ...]
    arrows: tuple[Arrow, ...]


def diagram(model: ModelConfig, src_size: int, tgt_size: int, parameters: Mapping[str, int], title: str) -> str:
    """The picture as a self-contained SVG document.

    Args:
        model: settings.
        src_size: number of ids of the source vocabulary.
        tgt_size: number of ids of the target vocabulary.
        parameters: number of parameters of each layer, by its path in the model. A box shows the sum over its sublayers.
        title: text for readers that cannot see the picture.
    """
    parts, left, bottom = [], float(MARGIN), 0.0
    for panel in panels(model, src_size, tgt_size, parameters):
        drawn, width, height = _draw(panel, left)
        parts += drawn
        left, bottom = left + width + PANEL_GAP, max(bottom, height)
    width, height = left - PANEL_GAP + MARGIN, bottom + 2 * MARGIN + LINE
    head = (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width:.0f} {height:.0f}" width="{width:.0f}" '
        f'height="{height:.0f}" role="img"><title>{html.escape(title)}</title><style>{STYLE}</style>'
        '<defs><marker id="tip" viewBox="0 0 8 8" refX="7" refY="4" markerWidth="8" markerHeight="8" '
        'orient="auto-start-reverse" markerUnits="userSpaceOnUse"><path class="tip" d="M0 0 8 4 0 8z"/></marker></defs>'
        f'<rect class="ground" width="{width:.0f}" height="{height:.0f}"/>'
    )
    return "\n".join([head, *parts, _text(MARGIN, height - MARGIN, LEGEND, "faint"), "</svg>\n"])


def panels(model: ModelConfig, src_size: int, tgt_size: int, parameters: Mapping[str, int]) -> tuple[Panel, ...]:
    """The model as trained, its encoder, one step of its decoder."""
    parts = _Parts(model, src_size, tgt_size, parameters)
    if model.kind == "same_length":
        encoder = parts.encoder(Box("memory", 0, "outputs", (f"[b, s, {model.hidden_size}]",), layer=False))
        return parts.same_length(), encoder, parts.same_length_step()
    return parts.training(), parts.encoder(*parts.handed_on()), parts.step()


class _Parts:
    """The boxes of a model, with their shapes and parameters."""

    def __init__(self, model: ModelConfig, src_size: int, tgt_size: int, parameters: Mapping[str, int]) -> None:
        self.model, self.src_size, self.tgt_size, self.parameters = model, src_size, tgt_size, parameters
        self.sees_context = model.peek or model.kind == "repeat_vector"
        shared = model.share_embeddings
        self.src_embed, self.tgt_embed = ("embed", "embed") if shared else ("src_embed", "tgt_embed")

    def count(self, path: str) -> tuple[str, ...]:
        """One line with the parameters of a layer and its sublayers; no line if it has none."""
        # With the slash: `encoder/layer_1` must not count `encoder/layer_10`.
        total = sum(count for name, count in self.parameters.items() if f"{name}/".startswith(f"{path}/"))
        return (f"{total:,} parameters",) if total else ()

    def reading(self) -> tuple[list[Box], list[Arrow]]:
        """From source ids to the encoder's outputs."""
        model = self.model
        vectors = (f"{self.src_size:,} ids to [b, s, {model.embed_dim}]", *self.count(self.src_embed))
        boxes = [Box("src", 0, "source ids", ("[b, s]",), layer=False), Box("src_embed", 0, self.src_embed, vectors)]
        boxes += self.stack("encoder", 0, f"[b, s, {model.hidden_size}]")
        return boxes, _chain(boxes)

    def stack(self, name: str, column: int, shape: str) -> list[Box]:
        """A box per layer, or one for all if there are many."""
        model = self.model
        layers = model.encoder_layers if name == "encoder" else model.decoder_layers
        ways = ", both directions" if name == "encoder" and model.bidirectional else ""
        if layers > MOST_BOXES:
            title = f"{name}: {layers} layers of {model.cell}{ways}"
            return [Box(f"{name}_0", column, title, (shape, *self.count(name)))]
        return [
            Box(
                f"{name}_{k}",
                column,
                f"{name} layer {k + 1}: {model.cell}{ways}",
                (shape + (" + its input" if model.residual and k else ""), *self.count(f"{name}/layer_{k}")),
            )
            for k in range(layers)
        ]

    def bridge(self) -> Box:
        shape = f"first states [b, {self.model.hidden_size}]"
        return Box("bridge", 0, f"bridge: {self.model.bridge}", (shape, *self.count("bridge")))

    def answering(self, axes: str) -> tuple[list[Box], list[Arrow]]:
        """From the last token to logits, with the leading axes `axes`: "b, t" (training) or "b, k" (one step)."""
        model, boxes = self.model, []
        if model.kind == "encoder_decoder":
            ids = "target ids, shifted" if axes == "b, t" else "last ids"
            vectors = (f"{self.tgt_size:,} ids to [{axes}, {model.embed_dim}]", *self.count(self.tgt_embed))
            boxes += [Box("tgt", 1, ids, (f"[{axes}]",), layer=False), Box("tgt_embed", 1, self.tgt_embed, vectors)]
        boxes += self.stack("decoder", 1, f"[{axes}, {model.hidden_size}]")
        if model.attention != "none":
            weights = f"weights [{axes}, s]"
            boxes.append(Box("attention", 1, f"attention: {model.attention}", (weights, *self.count("attention"))))
            if model.features == "separate":
                title = f"attention to features: {model.attention}"
                boxes.append(Box("feature_attention", 1, title, (weights, *self.count("feature_reader/attention"))))
            joined = (f"tanh, [{axes}, {model.hidden_size}]", *self.count("combine"))
            boxes.append(Box("combine", 1, "combine", joined))
        boxes.append(self.output(axes))
        if model.copy:
            mixture = (f"log-probabilities [{axes}, {self.tgt_size:,}]", *self.count("copying"))
            boxes.append(Box("copying", 1, "copying: mixture with the source's tokens", mixture))
        arrows = _chain(boxes)
        if model.copy:
            arrows.append(Arrow("attention", "copying", "weights", dashed=True))
        if model.input_feeding:
            arrows.append(Arrow("combine", "decoder_0", "next step", dashed=True))
        if model.tie_embeddings:
            arrows.append(Arrow("tgt_embed", "output", "same matrix", dashed=True))
        return boxes, arrows

    def output(self, axes: str, column: int = 1) -> Box:
        logits = f"logits [{axes}, {self.tgt_size:,}]" + (" and new states" if axes == "b, k" else "")
        return Box("output", column, "output", (logits, *self.count("output")))

    def training(self) -> Panel:
        """Encoder and decoder, as trained with teacher forcing."""
        left, arrows = self.reading()
        right, more = self.answering("b, t")
        top = left[-1].key
        arrows = [*arrows, *more, Arrow(top, "bridge")]
        arrows += [Arrow("bridge", box.key, "first states") for box in right if box.key.startswith("decoder_")]
        if self.model.share_embeddings:
            arrows.append(Arrow("src_embed", "tgt_embed", "same matrix", dashed=True))
        if self.sees_context:
            arrows.append(Arrow(top, "decoder_0", "c, at every step"))
        if self.model.attention != "none":
            arrows.append(Arrow(top, "attention", "outputs"))
        if self.model.features == "separate":
            arrows.append(Arrow("feature_encoder", "feature_attention", "features"))
        return Panel("Model, as trained", (*left, self.bridge(), *self.features(), *right), tuple(arrows))

    def features(self) -> tuple[Box, ...]:
        """The encoder of features of their own."""
        if self.model.features != "separate":
            return ()
        lines = (
            f"tanh, of the features in {self.src_embed}",
            f"[b, s, {self.model.hidden_size}]",
            *self.count("feature_reader/encoder"),
        )
        return (Box("feature_encoder", 0, "feature_reader", lines),)

    def handed_on(self) -> tuple[Box, ...]:
        """What the encoder passes to the decoder."""
        size = self.model.hidden_size
        memory = (f"outputs [b, s, {size}]",) * (self.model.attention != "none")
        context = (f"c [b, {size}]",) * self.sees_context
        features = (f"features [b, s, {size}]",) * len(self.features())
        lines = (*memory, *features, *context, f"states [b, {size}]")
        return self.bridge(), *self.features(), Box("memory", 0, "memory, states", lines, layer=False)

    def encoder(self, *handed_on: Box) -> Panel:
        """The encoder alone: it runs once per sentence."""
        return _column("Encoder", *self.reading()[0], *handed_on)

    def step(self) -> Panel:
        """One step of the decoder: it runs once per token."""
        size = self.model.hidden_size
        right, arrows = self.answering("b, k")
        boxes = [Box("states", 0, "states", (f"[b, k, {size}]",), layer=False)]
        arrows += [Arrow("states", box.key, "last states") for box in right if box.key.startswith("decoder_")]
        if self.sees_context:
            boxes.append(Box("context", 0, "c", (f"[b, {size}]",), layer=False))
            arrows.append(Arrow("context", "decoder_0", "c"))
        if self.model.attention != "none":
            boxes.append(Box("memory", 0, "memory", (f"[b, s, {size}]",), layer=False))
            arrows.append(Arrow("memory", "attention", "outputs"))
        if self.model.features == "separate":
            arrows.append(Arrow("memory", "feature_attention", "features"))
        return Panel("Decoder, one step", (*boxes, *right), tuple(arrows))

    def same_length(self) -> Panel:
        """One output for each input."""
        return _column("Model, as trained", *self.reading()[0], self.output("b, s", column=0))

    def same_length_step(self) -> Panel:
        """The output at the next position."""
        size = self.model.hidden_size
        memory = Box("memory", 0, "outputs, position t", (f"[b, s, {size}], [b, k]",), layer=False)
        pick = Box("pick", 0, "output at position t", (f"[b, k, {size}]",))
        return _column("One step: the next position", memory, pick, self.output("b, k", column=0))


def _column(title: str, *boxes: Box) -> Panel:
    """A panel of one column."""
    return Panel(title, boxes, tuple(_chain(boxes)))


def _chain(boxes: Sequence[Box]) -> list[Arrow]:
    return [Arrow(start.key, end.key) for start, end in itertools.pairwise(boxes)]


@dataclass(frozen=True)
class _Place:
    """A box's rectangle."""

    x: float
    y: float
    width: float
    height: float


def _rows(panel: Panel) -> dict[str, int]:
    """The row of each box: below the starts of its arrows, and below the earlier boxes of its column."""
    rows: dict[str, int] = {}
    # Column 0 first: solid arrows between columns start there, so the rows of their starts are known.
    for box in sorted(panel.boxes, key=lambda box: box.column):
        above = [rows[a.start] for a in panel.arrows if a.end == box.key and not a.dashed and a.start in rows]
        above += [rows[other.key] for other in panel.boxes if other.column == box.column and other.key in rows]
        rows[box.key] = max(above, default=-1) + 1
    return rows


def _places(panel: Panel, left: float) -> dict[str, _Place]:
    """The rectangles of a panel's boxes."""
    rows = _rows(panel)
    heights = [
        max((b.height for b in panel.boxes if rows[b.key] == row), default=0) for row in range(max(rows.values()) + 1)
    ]
    tops = [MARGIN + 2 * LINE + sum(heights[:row]) + ROW_GAP * row for row in range(len(heights))]
    widths = [max((box.width for box in panel.boxes if box.column == column), default=0) for column in (0, 1)]
    columns = {box.key: box.column for box in panel.boxes}
    across = [arrow for arrow in panel.arrows if columns[arrow.start] != columns[arrow.end]]
    room = max((len(arrow.label) * CHAR for arrow in across), default=0)
    second = left + widths[0] + (LANE * (len(across) + 1) + room + 2 * PADDING if across else 0)
    return {
        box.key: _Place(second if box.column else left, tops[rows[box.key]], widths[box.column], box.height)
        for box in panel.boxes
    }


def _draw(panel: Panel, left: float) -> tuple[list[str], float, float]:
    """The elements of a panel, its width, and the position of its lower edge."""
    places = _places(panel, left)
    columns = {box.key: box.column for box in panel.boxes}
    parts = [_text(left, MARGIN + LINE, panel.title, "panel")]
    right = max(place.x + place.width for place in places.values())
    # The title of a panel has 15 px instead of 12.
    right = max(right, left + len(panel.title) * 1.3 * BOLD_CHAR)
    across = [arrow for arrow in panel.arrows if columns[arrow.start] != columns[arrow.end]]
    for lane, arrow in enumerate(across):
        parts += _across(arrow, lane, across, places)
    around = [arrow for arrow in panel.arrows if arrow.dashed]
    for arrow in around:
        parts += _around(arrow, places, right + LANE)
        right += LANE + PADDING + len(arrow.label) * CHAR
    for arrow in panel.arrows:
        if arrow not in across and not arrow.dashed:
            start, end = places[arrow.start], places[arrow.end]
            line = f"M{start.x + start.width / 2:.1f} {start.y + start.height:.1f}V{end.y:.1f}"
            parts.append(_path(line, arrow))
    for box in panel.boxes:
        parts += _box(box, places[box.key])
    return parts, right - left, max(place.y + place.height for place in places.values())


def _across(arrow: Arrow, lane: int, across: Sequence[Arrow], places: Mapping[str, _Place]) -> list[str]:
    """From the right edge of a box to the left edge of another, in its own lane; the label follows the last lane."""
    start, end = places[arrow.start], places[arrow.end]
    y = _meeting(start, arrow, [other for other in across if other.start == arrow.start])
    to = _meeting(end, arrow, [other for other in across if other.end == arrow.end])
    x = start.x + start.width + LANE * (lane + 1)
    path = _path(f"M{start.x + start.width:.1f} {y:.1f}H{x:.1f}V{to:.1f}H{end.x:.1f}", arrow)
    return [path, _text(end.x - PADDING, to - 4, arrow.label, "faint", end=True)]


def _meeting(place: _Place, arrow: Arrow, arrows: Sequence[Arrow]) -> float:
    """The y position of an arrow, one of the `arrows` that meet at one edge of a box."""
    return place.y + place.height * (arrows.index(arrow) + 1) / (len(arrows) + 1)


def _around(arrow: Arrow, places: Mapping[str, _Place], x: float) -> list[str]:
    """Around the right edge of a column, at `x`."""
    start, end = places[arrow.start], places[arrow.end]
    right = start.x + start.width
    # Off the middle, because two arrows may meet at a box.
    y, to = start.y + start.height / 3, end.y + end.height * 2 / 3
    path = _path(f"M{right:.1f} {y:.1f}H{x:.1f}V{to:.1f}H{right:.1f}", arrow)
    return [path, _text(x + 5, (y + to) / 2, arrow.label, "faint")]


def _path(line: str, arrow: Arrow) -> str:
    dashed = " dashed" if arrow.dashed else ""
    return f'<path class="arrow{dashed}" d="{line}" marker-end="url(#tip)"/>'


def _box(box: Box, place: _Place) -> list[str]:
    kind = "layer" if box.layer else "data"
    parts = [
        f'<rect class="box {kind}" x="{place.x:.1f}" y="{place.y:.1f}" width="{place.width:.1f}" '
        f'height="{place.height:.1f}" rx="{4 if box.layer else place.height / 4:.0f}"/>'
    ]
    for row, line in enumerate((box.title, *box.details)):
        kind = "faint" if row else "title"
        parts.append(_text(place.x + PADDING, place.y + PADDING + LINE * (row + 1) - 5, line, kind))
    return parts


def _text(x: float, y: float, text: str, kind: str, end: bool = False) -> str:
    anchor = ' text-anchor="end"' if end else ""
    return f'<text class="{kind}" x="{x:.1f}" y="{y:.1f}"{anchor}>{html.escape(text)}</text>'
