"""Progress bars on a terminal and in a notebook; what lines of progress need: their type, and numbers with their nouns."""

import sys
import time
from collections.abc import Callable, Sequence
from typing import Any, Self

Say = Callable[[str], None]
"""Called with one line of progress; usually `print`."""

BAR, TIME_LEFT = "<bar>", "<time left>"
"""Columns of a progress bar that are not text."""

# An output cannot be removed. Empty HTML takes no room on a page; an empty text would be an empty block.
_NOTHING = {"text/plain": "", "text/html": ""}

REDRAW_SECONDS = 0.25
"""Shortest time between two drawings in a notebook, in seconds: each is a message to the browser."""


def counted(number: int, noun: str) -> str:
    """A number with its noun: "1 pair", "2,000 pairs", "3 batches"."""
    if number == 1:
        return f"1 {noun}"
    return f"{number:,} {noun}{'es' if noun.endswith(('tch', 's', 'x')) else 's'}"


class ProgressBar:
    """A progress bar on standard error or in a notebook's cell; a context manager, which removes the bar when it ends.

    Its truth value is whether a bar is drawn: on a terminal or in a notebook.

    Args:
        columns: from left to right: `BAR`, `TIME_LEFT`, or text in rich's format: `{task.completed}`, `{task.fields[NAME]}`.
        total: final value of `completed`; None: unknown.
        shown: False: draw nothing.
        fields: initial values of the fields that the columns name.
    """

    def __init__(self, columns: Sequence[str], total: float | None, *, shown: bool = True, **fields: Any) -> None:
        self._bar: Any = None
        self._cell: Any = None
        self._drawn = 0.0
        notebook = shown and in_notebook()
        if not (notebook or (shown and sys.stderr is not None and sys.stderr.isatty())):
            return
        # Imported only where a bar is drawn: importing rich takes 0.1 s.
        from rich.console import Console
        from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

        special = {BAR: BarColumn, TIME_LEFT: TimeRemainingColumn}
        drawn = [special[column]() if column in special else TextColumn(column, markup=False) for column in columns]
        # In a notebook rich's own display needs ipywidgets; the bar is drawn into the cell by `_draw` instead.
        console = None if notebook else Console(file=sys.stderr)
        self._bar = Progress(*drawn, console=console, transient=True, disable=notebook)
        self._task = self._bar.add_task("", total=total, **fields)
        if notebook:
            from IPython.display import DisplayHandle

            self._cell = DisplayHandle()

    def __bool__(self) -> bool:
        return self._bar is not None

    def __enter__(self) -> Self:
        if self._cell:
            self._cell.display(_NOTHING, raw=True)
            self._draw()
        elif self._bar:
            self._bar.start()
        return self

    def __exit__(self, *_: object) -> None:
        if self._cell:
            self._cell.update(_NOTHING, raw=True)
        elif self._bar:
            self._bar.stop()

    def update(self, completed: float, **fields: Any) -> None:
        """Set the completed amount and new values of fields."""
        if self._bar:
            self._bar.update(self._task, completed=completed, **fields)
        if self._cell and time.monotonic() - self._drawn > REDRAW_SECONDS:
            self._draw()

    def _draw(self) -> None:
        """Draw the bar into the cell."""
        self._drawn = time.monotonic()
        self._cell.update(self._bar.make_tasks_table(self._bar.tasks)._repr_mimebundle_((), ()), raw=True)

    def print(self, text: str) -> None:
        """Print a line above the bar, which must be drawn, without markup."""
        if self._cell:
            print(text, flush=True)
        else:
            self._bar.console.print(text, markup=False, highlight=False)


def in_notebook() -> bool:
    """Whether this is the kernel of a notebook."""
    ipython = sys.modules.get("IPython")
    shell = ipython.get_ipython() if ipython is not None else None
    return shell is not None and hasattr(shell, "kernel")
