"""Progress bars on a terminal; elsewhere nothing is drawn. Lines for people go to a `Say`."""

import sys
from collections.abc import Callable, Sequence
from typing import Any, Self

Say = Callable[[str], None]
"""Called with a line for people; usually `print`."""

BAR, TIME_LEFT = "<bar>", "<time left>"
"""Columns of a bar that are no text."""


class ProgressBar:
    """A bar on standard error, gone when it ends; a context manager. It is true where there is something to see.

    Args:
        columns: from left to right, `BAR`, `TIME_LEFT`, or text in rich's format: `{task.completed}`, `{task.fields[NAME]}`.
        total: of what is counted; None: not known.
        shown: False: draw nothing, on a terminal neither.
        fields: what the columns name, at first.
    """

    def __init__(self, columns: Sequence[str], total: float | None, *, shown: bool = True, **fields: Any) -> None:
        self._bar: Any = None
        if not (shown and sys.stderr.isatty()):
            return
        # On a terminal alone: it takes a moment.
        from rich.console import Console
        from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

        special = {BAR: BarColumn, TIME_LEFT: TimeRemainingColumn}
        drawn = [special[column]() if column in special else TextColumn(column, markup=False) for column in columns]
        self._bar = Progress(*drawn, console=Console(file=sys.stderr), transient=True)
        self._task = self._bar.add_task("", total=total, **fields)

    def __bool__(self) -> bool:
        return self._bar is not None

    def __enter__(self) -> Self:
        if self._bar:
            self._bar.start()
        return self

    def __exit__(self, *_: object) -> None:
        if self._bar:
            self._bar.stop()

    def update(self, completed: float, **fields: Any) -> None:
        """How much is done, and new values of fields."""
        if self._bar:
            self._bar.update(self._task, completed=completed, **fields)

    def print(self, text: str) -> None:
        """A line above the bar, as it is; there must be one."""
        self._bar.console.print(text, markup=False, highlight=False)
