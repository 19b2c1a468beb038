import io
from types import SimpleNamespace

import pytest

from wordseq.system import progress
from wordseq.system.progress import BAR, TIME_LEFT, ProgressBar, counted

COLUMNS = ("{task.fields[name]}", BAR, "{task.completed} of {task.total}", TIME_LEFT)
NAME = "a [red]{b}"


class Terminal(io.StringIO):
    def isatty(self):
        return True


def drawn(monkeypatch, stream, **options):
    """What a bar wrote to `stream`, and whether it was there."""
    monkeypatch.setattr(progress, "sys", SimpleNamespace(stderr=stream, modules={}))
    monkeypatch.setenv("COLUMNS", "100")
    monkeypatch.setenv("TERM", "xterm")
    with ProgressBar(COLUMNS, 9, name="before", **options) as bar:
        bar.update(4, name=NAME)
        if bar:
            bar.print("line [/b] above")
    return stream.getvalue(), bool(bar)


@pytest.mark.parametrize(
    ("number", "noun", "shown"),
    [
        (1, "pair", "1 pair"),
        (0, "pair", "0 pairs"),
        (2000, "pair", "2,000 pairs"),
        (3, "batch", "3 batches"),
        (3, "epoch", "3 epochs"),
        (1, "batch", "1 batch"),
    ],
)
def test_a_number_has_its_noun(number, noun, shown):
    assert counted(number, noun) == shown


def test_on_a_terminal_it_shows_its_columns_and_unchanged_lines_above(monkeypatch):
    text, shown = drawn(monkeypatch, Terminal())
    assert shown
    assert NAME in text
    assert "4 of 9" in text
    assert "line [/b] above\n" in text.replace("\r", "")


@pytest.mark.parametrize(("stream", "options"), [(io.StringIO(), {}), (Terminal(), {"shown": False})])
def test_without_a_terminal_or_if_not_wanted_nothing_is_drawn(monkeypatch, stream, options):
    assert drawn(monkeypatch, stream, **options) == ("", False)
