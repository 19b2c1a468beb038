"""Temporary signal handlers."""

import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any

Handler = Callable[[int, FrameType | None], Any] | signal.Handlers


@contextmanager
def handled(handler: Handler, *numbers: int) -> Iterator[None]:
    """Replace the handlers of some signals inside a `with` block; in a thread other than the main thread, do nothing."""
    # Python allows only the main thread to set handlers; a notebook or server may call us from another.
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = {number: signal.signal(number, handler) for number in numbers}
    try:
        yield
    finally:
        for number, earlier in before.items():
            signal.signal(number, earlier)
