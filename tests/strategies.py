"""Hypothesis strategies shared by the tests: normalised text, hostile and ordinary."""

from hypothesis import strategies as st

from wordseq.text.normalise import normalise

_HOSTILE = (
    # Looks like a token, a mark or an escape of ours or of SentencePiece.
    *("<unk>", "<s>", "</s>", "<pad>", "<0x41>", "<0xC3>", "<", "\u2581", "\u2581\u2581", "\u2585", "\u2047", "\ufffd"),
    *("\uffed", "\uffed\uffed", "\uffee", "\uffee0", "\uffee1", "\uffee3", "\uffed,\uffed", "$$", "\\1", "%"),
    # Words and punctuation.
    *("l'homme", "aujourd’hui", "well-known", "U.S.", "3.5", "10:30", "...", "?!"),
    *("«", "»", "(", ")", "_", "a_b", "CamelCase"),
    # Emoji: joined, with skin tone, with a variation selector, keycap, flags.
    *("👩\u200d👩\u200d👧", "👍🏻", "❤\ufe0f", "1\ufe0f\u20e3", "🇫🇷", "🇫🇷🇩🇪🇫", "\u200d", "\u200c"),
    # Combining marks, right-to-left, a prefixed number sign, scripts without spaces.
    *("e\u0301\u0327", "\u0301", "!\u0301", "مرحبا،", "می\u200cخواهم", "שָׁלוֹם", "\u0600", "\u060012"),
    *("我喜欢你。", "日本語テスト", "ไทย", "한국어", "क्षि", "١٢٣", "²", "Ⅷ", "𝔘𝔫𝔦", "\ue000", "\U0010ffff"),
)  # fmt: skip


def normalised_text(max_parts: int = 12) -> st.SearchStrategy[str]:
    """Any line of text as `normalise` leaves it: fragments that tend to break tokenizers, and anything from Unicode."""
    anything = st.text(st.characters(exclude_categories=["Cs"]), max_size=4)
    part = st.one_of(st.sampled_from(_HOSTILE), st.just(" "), st.sampled_from("abcdé.,!'-0"), anything)
    return st.lists(part, max_size=max_parts).map("".join).map(normalise)
