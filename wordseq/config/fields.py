"""A setting as a field of a dataclass: its one-line doc, its unit, its bounds, and when it may change."""

import dataclasses
import enum
from collections.abc import Sequence
from typing import Any


class Changes(enum.Flag):
    """When a setting may differ from the saved setting of a run."""

    NEVER = 0
    LIMIT = enum.auto()
    """It may differ when a run resumes: it decides when to stop or save, not what is computed."""
    PLACE = enum.auto()
    """It may differ when a run resumes: it tells where the data are and how their files are read. Their content is compared."""
    CHANCE = enum.auto()
    """It may differ between repetitions of one experiment: it sets a random seed or the order of summation."""
    MACHINE = enum.auto()
    """Its default is decided when a run begins, by the machine or the data; the config.toml of a run has the value."""


AUTO = "auto"
"""A setting that nobody gave has this value where `config/auto.py` decides it by the data, whatever its type is."""


def is_auto(value: object) -> bool:
    """Whether the value of a setting is still to be decided."""
    return value == AUTO


def setting(
    default: Any,
    doc: str,
    *,
    choices: Sequence[str] = (),
    minimum: float | None = None,
    maximum: float | None = None,
    changes: Changes = Changes.NEVER,
    auto: bool = False,
) -> Any:
    """A field of a settings dataclass.

    Args:
        default: the default value; with `auto`, that of a dataclass that is made in Python, without data to decide by.
        doc: one line: what the setting does, and its unit.
        choices: allowed values; empty: any.
        minimum: smallest allowed number.
        maximum: largest allowed number.
        changes: when it may differ from the saved setting of a run.
        auto: it may be `AUTO`, and is unless it was given.
    """
    allowed = {"choices": choices, "minimum": minimum, "maximum": maximum, "auto": auto}
    decided = Changes.MACHINE if auto else Changes.NEVER
    return dataclasses.field(default=default, metadata={"doc": doc, **allowed, "changes": changes | decided})


def usual_value(field: "dataclasses.Field[Any]") -> Any:
    """The value of a setting that nobody gave."""
    return AUTO if field.metadata["auto"] else field.default
