"""Checks of the arguments of Python functions; an error has the name of the argument, the position in it, and the value."""

import math
import operator
from collections.abc import Iterable, Mapping
from typing import Any


def text_list(name: str, texts: Iterable[str]) -> list[str]:
    """The texts of a list, a generator, an open file, a pandas Series or a NumPy array, read once.

    Raises:
        TypeError: `texts`, called `name` in the message, is one text, has no order or more than one dimension, or contains
            something that is not a `str`.
    """
    expected = f"{name} must be a list of texts"
    if isinstance(texts, str):
        raise TypeError(f"{expected}, got one text; write [text]")
    if isinstance(texts, bytes | bytearray | Mapping) or not hasattr(texts, "__iter__"):
        raise TypeError(f"{expected}, got {_described(texts)}")
    if isinstance(texts, set | frozenset):
        raise TypeError(f"{expected}, got a {type(texts).__name__}, which has no order")
    # Iterating over a DataFrame gives the names of its columns, which are texts too.
    dimensions = getattr(texts, "ndim", 1)
    if dimensions != 1:
        raise TypeError(f"{expected}, got {type(texts).__name__} of {dimensions} dimensions; choose a column")
    return [text if isinstance(text, str) else _no_text(f"{name}[{i}]", text) for i, text in enumerate(texts)]


def _no_text(place: str, value: object) -> str:
    raise TypeError(f"{place} must be a text (str), got {_described(value)}")


def _described(value: object) -> str:
    """A value for a message: at most 40 characters, and its type."""
    if value is None:
        return "None"
    shown = repr(value)
    return f"{shown if len(shown) <= 40 else shown[:40] + '...'} ({type(value).__name__})"


def whole_number(name: str, value: Any, low: int, high: int | None = None) -> int:
    """A whole number within bounds, as an `int`; NumPy integers are accepted, booleans are not.

    Raises:
        TypeError: `value` is not a whole number.
        ValueError: `value` is out of bounds.
    """
    expected = f"{name} must be a whole number {_bounds(low, high)}"
    try:
        if isinstance(value, bool):
            raise TypeError
        number = operator.index(value)
    except TypeError:
        raise TypeError(f"{expected}, got {_described(value)}") from None
    if number < low or (high is not None and number > high):
        raise ValueError(f"{expected}, got {number}")
    return number


def real_number(name: str, value: Any, low: float, high: float | None = None) -> float:
    """A finite number within bounds, as a `float`; NumPy numbers are accepted, booleans are not.

    Raises:
        TypeError: `value` is not a number.
        ValueError: `value` is out of bounds, infinite or NaN.
    """
    expected = f"{name} must be a number {_bounds(low, high)}"
    if isinstance(value, bool | str | bytes) or not hasattr(value, "__float__"):
        raise TypeError(f"{expected}, got {_described(value)}")
    number = float(value)
    if not (math.isfinite(number) and number >= low) or (high is not None and number > high):
        raise ValueError(f"{expected}, got {number:g}")
    return number


def _bounds(low: float, high: float | None) -> str:
    return f"of at least {low:g}" if high is None else f"from {low:g} to {high:.10g}"
