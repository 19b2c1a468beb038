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
    """Its default is resolved when a run begins, by the machine or the data; the config.toml of a run has the value."""


def setting(
    default: Any,
    doc: str,
    *,
    choices: Sequence[str] = (),
    minimum: float | None = None,
    maximum: float | None = None,
    changes: Changes = Changes.NEVER,
) -> Any:
    """A field of a settings dataclass.

    Args:
        default: the default value.
        doc: one line: what the setting does, and its unit.
        choices: allowed values; empty: any.
        minimum: smallest allowed number.
        maximum: largest allowed number.
        changes: when it may differ from the saved setting of a run.
    """
    allowed = {"choices": choices, "minimum": minimum, "maximum": maximum}
    return dataclasses.field(default=default, metadata={"doc": doc, **allowed, "changes": changes})
