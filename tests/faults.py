"""Faults at chosen moments: what writes to the disk is counted, and at the call of a number something happens instead."""

import contextlib
import os
import signal
from collections.abc import Callable, Iterator, Sequence

CALLS = ("open", "fsync", "chmod", "link", "replace", "rename", "unlink")
"""Functions of `os` that change what a disk holds; of `open`, those that may make a file."""
TAKING = CALLS[:-1]
"""Those that take room, or may."""


class Calls:
    """How many calls there were."""

    number = 0


@contextlib.contextmanager
def at_call(number: int, act: Callable[[], None], names: Sequence[str] = CALLS) -> Iterator[Calls]:
    """Before the call of this number, from 1 on, of any of `names`, act; 0: only count."""
    calls, before = Calls(), {name: getattr(os, name) for name in names}

    def counted(name):
        def call(*arguments, **options):
            if name != "open" or arguments[1] & os.O_CREAT:
                calls.number += 1
                if calls.number == number:
                    act()
            return before[name](*arguments, **options)

        return call

    for name in names:
        setattr(os, name, counted(name))
    try:
        yield calls
    finally:
        for name, function in before.items():
            setattr(os, name, function)


def die() -> None:
    """As by `kill -9`: nothing more happens."""
    os.kill(os.getpid(), signal.SIGKILL)


def fail(number: int) -> Callable[[], None]:
    """An error of the system."""

    def act() -> None:
        raise OSError(number, os.strerror(number))

    return act


def in_child(work: Callable[[], object]) -> int:
    """Do something in a copy of this process; the signal that ended it, 0 for none."""
    child = os.fork()
    if child == 0:
        code = 1
        try:
            work()
            code = 0
        finally:
            os._exit(code)
    return os.WTERMSIG(os.waitpid(child, 0)[1])
