"""Sparse maps and their losses once more, in NumPy float64. Thresholds are found by bisection, not by sorting."""

from collections.abc import Callable

import numpy as np

Power = Callable[[np.ndarray], np.ndarray]


def _bisected(scores: np.ndarray, power: Power) -> np.ndarray:
    """power(max(0, scores - t)), where t makes the sum of each row 1."""
    high = scores.max(-1, keepdims=True)
    low = high - 1
    for _ in range(100):
        middle = (low + high) / 2
        enough = power(np.maximum(scores - middle, 0)).sum(-1, keepdims=True) >= 1
        low, high = np.where(enough, middle, low), np.where(enough, high, middle)
    return power(np.maximum(scores - low, 0))


def softmax(scores: np.ndarray) -> np.ndarray:
    """Exponentials that sum to 1."""
    exponentials = np.exp(scores - scores.max(-1, keepdims=True))
    return exponentials / exponentials.sum(-1, keepdims=True)


def sparsemax(scores: np.ndarray) -> np.ndarray:
    """The point of the simplex that is nearest to the scores (Martins and Astudillo 2016, equation 3)."""
    return _bisected(scores, lambda over: over)


def entmax15(scores: np.ndarray) -> np.ndarray:
    """1.5-entmax (Peters, Niculae and Martins 2019, equation 14)."""
    return _bisected(scores / 2, np.square)


MAPS = {"softmax": softmax, "sparsemax": sparsemax, "entmax15": entmax15}


def loss(name: str, scores: np.ndarray, wanted: np.ndarray) -> np.ndarray:
    """max over p of (p . z + H(p)), minus y . z, with Tsallis's entropy H: of each row."""
    alpha = {"sparsemax": 2.0, "entmax15": 1.5}[name]
    p = MAPS[name](scores)
    entropy = (1 - (p**alpha).sum(-1)) / (alpha * (alpha - 1))
    return (p * scores).sum(-1) + entropy - (wanted * scores).sum(-1)
