"""Texts of users, corpora and models as HTML."""

import difflib
import html
from collections.abc import Sequence

from wordseq.evaluation.tables import one_line


def html_text(value: str) -> str:
    """Text as HTML shows it, on one line, controls and turns of the writing direction made visible."""
    return html.escape(one_line(value), quote=True)


def user_text(value: str) -> str:
    """Text of a corpus or a model, in its own writing direction."""
    return f'<span dir="auto">{html_text(value)}</span>'


def marked_differences(hyp: str, references: Sequence[str]) -> str:
    """The translation as HTML with its differences from the nearest reference marked."""
    words = one_line(hyp).split()
    choices = [one_line(reference).split() for reference in references]
    matchers = [difflib.SequenceMatcher(None, choice, words, autojunk=False) for choice in choices]
    wanted, nearest = max(zip(choices, matchers, strict=True), key=lambda pair: pair[1].ratio())
    parts = []
    for kind, i1, i2, j1, j2 in nearest.get_opcodes():
        if kind == "equal":
            parts.append(html_text(" ".join(words[j1:j2])))
            continue
        if i2 > i1:
            parts.append(f"<del>{html_text(' '.join(wanted[i1:i2]))}</del>")
        if j2 > j1:
            parts.append(f"<ins>{html_text(' '.join(words[j1:j2]))}</ins>")
    return f'<span dir="auto">{" ".join(parts)}</span>' if parts else '<span class="empty">(empty)</span>'
