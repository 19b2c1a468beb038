"""The maps of `models/sparse` as ONNX nodes: softmax, sparsemax and entmax15."""

from collections.abc import Callable, Mapping
from types import MappingProxyType

import numpy as np

from wordseq.export.onnx_graph import FLOAT, Value
from wordseq.text.vocab import BOS_ID, PAD_ID

_MASKED = -1e9
"""Of `models.sparse.MASKED`."""

_LARGEST = 128
"""Of `models.sparse.LARGEST`."""


def masked_map(name: str, scores: Value, mask: Value) -> Value:
    """Probabilities along the last axis, 0 where `mask` is false; see `models.sparse.softmax`."""
    g = scores.builder
    scores = g.op("Where", mask, scores, g.value(_MASKED))
    if name == "softmax":
        return g.op("Softmax", scores, axis=-1)
    return g.op("Where", mask, _sparse(name, scores, None), g.value(0.0))


def possible_map(name: str, logits: Value, size: int) -> Value:
    """Probabilities of a vocabulary of `size` tokens by a sparse map; PAD and BOS have 0."""
    g = logits.builder
    possible = ~np.isin(np.arange(size), [PAD_ID, BOS_ID])
    scores = g.op("Where", possible, logits, g.value(_MASKED))
    return g.op("Where", possible, _sparse(name, scores, size), g.value(0.0))


def _sparse(name: str, scores: Value, size: int | None) -> Value:
    """See `models.sparse._sparse`.

    Args:
        name: of the map.
        scores: z.
        size: of the last axis, where it is known.
    """
    g = scores.builder
    scale, threshold, power = _MAPS[name]
    over = (scores - g.op("ReduceMax", scores, axes=[-1])) * scale
    scaled = g.op("Max", over, np.float32(-2.0))
    count = g.shape(scaled, -1)

    def of_all() -> Value:
        return threshold(g.ops("TopK", 2, scaled, count, axis=-1)[0])

    if size is None or size <= 2 * _LARGEST:
        found = of_all()
    else:
        # Only scores above -1 have a say, and a sparse output has few of them.
        largest = g.ops("TopK", 2, scaled, np.array([_LARGEST]), axis=-1)[0]
        lowest = g.op("Gather", largest, np.array(_LARGEST - 1), axis=-1)
        enough = g.op("ReduceMax", lowest, keepdims=0)
        found = g.either(g.op("Not", g.op("Greater", enough, g.value(-1.0))), lambda: threshold(largest), of_all)
    return power(g.op("Max", scaled - found, g.value(0.0)))


def _counting(sorted_scores: Value) -> Value:
    g = sorted_scores.builder
    last = g.op("Squeeze", g.shape(sorted_scores, -1), np.array([0]))
    return g.cast(g.op("Range", np.array(1), g.op("Add", last, np.array(1)), np.array(1)), FLOAT)


def _at_last(above: Value, thresholds: Value) -> Value:
    """The threshold of the last score above its own; those above come first."""
    g = above.builder
    # The place of the last one, instead of a gather with batch dimensions.
    count = g.op("ReduceSum", g.cast(above, FLOAT), np.array([-1]))
    chosen = g.op("Equal", _counting(thresholds), count)
    return g.op("ReduceSum", g.op("Where", chosen, thresholds, g.value(0.0)), np.array([-1]))


def _sums(values: Value) -> Value:
    return values.builder.op("CumSum", values, np.array(-1))


def _sparsemax_threshold(sorted_scores: Value) -> Value:
    g, count, sums = sorted_scores.builder, _counting(sorted_scores), _sums(sorted_scores)
    above = g.op("Greater", sorted_scores * count + 1.0, sums)
    return _at_last(above, (sums - 1.0) / count)


def _entmax15_threshold(sorted_scores: Value) -> Value:
    g, count = sorted_scores.builder, _counting(sorted_scores)
    mean = _sums(sorted_scores) / count
    spread = _sums(sorted_scores * sorted_scores) - count * mean * mean
    root = g.op("Sqrt", g.op("Max", (1 - spread) / count, g.value(0.0)))
    thresholds = mean - root
    return _at_last(g.op("Not", g.op("Greater", thresholds, sorted_scores)), thresholds)


_MAPS: Mapping[str, tuple[float, Callable[[Value], Value], Callable[[Value], Value]]] = MappingProxyType(
    {
        "sparsemax": (1.0, _sparsemax_threshold, lambda over: over),
        "entmax15": (0.5, _entmax15_threshold, lambda over: over * over),
    }
)
"""For each map the scale of the scores, the threshold of sorted ones, and the probability of what is over it."""
