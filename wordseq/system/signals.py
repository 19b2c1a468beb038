"""Temporary signal handlers."""

import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any

END_SIGNALS = tuple(getattr(signal, name) for name in ("SIGTERM", "SIGHUP") if hasattr(signal, name))
"""Signals that ask a process to end: of `kill` and of a terminal that is closed. Windows has no SIGHUP."""

Handler = Callable[[int, FrameType | None], Any] | signal.Handlers


@contextmanager
def handled(handler: Handler, *numbers: int) -> Iterator[None]:
    """Replace the handlers of some signals inside a `with` block; in a thread other than the main thread, do nothing.

    Signals that are ignored stay so: `nohup` ignores SIGHUP, and a shell SIGINT of a script's background jobs, because they are
    not meant.
    """
    # Python allows only the main thread to set handlers; a notebook or server may call us from another.
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    heard = [number for number in numbers if signal.getsignal(number) is not signal.SIG_IGN]
    before = {number: signal.signal(number, handler) for number in heard}
    try:
        yield
    finally:
        for number, earlier in before.items():
            signal.signal(number, earlier)
