"""Whatever a message quotes, it is one line that drives no terminal."""

from hypothesis import example, given, settings
from hypothesis import strategies as st

from wordseq.system.errors import HEAD, TAIL, UserError


@settings(max_examples=50)
@given(st.text(max_size=30) | st.text(max_size=3).map(lambda text: text * HEAD))
@example("\u2028" * 3 * HEAD)
def test_a_message_is_one_short_line_that_can_be_written(text):
    shown = str(UserError(f"file.toml: {text}; choose another"))
    assert len(shown.splitlines()) == 1
    assert len(shown) <= 12 * (HEAD + TAIL)
    assert "\x1b" not in shown
    shown.encode()
    assert shown.startswith("file.toml: ")
    assert shown.endswith("; choose another")


def test_what_people_write_is_left_alone():
    for text in ("d\u00e9j\u00e0\u202f!.tsv: no such file", "a 'b' \u2013 \u6211"):
        assert str(UserError(text)) == text
    assert str(UserError("a\nb\ud800\x00")) == r"a\nb\ud800\x00"
