"""Spells words that a vocabulary lacks, one token for each character, among the words that it has.

It is the mixed model of words and characters of Wu et al. 2016, section 4.2, which is the hybrid model of Luong and Manning
2016 in one sequence. The first character of a spelled word carries a mark, here shown as "▁":

    he met Zorkia , twice   ->   he met ▁Z o r k i a , twice

A spelled word ends where the next word begins, spelled or not, or with the sentence. So a decoder can leave no spelling open.

A first character without a marked token follows the mark alone. A character without a token is spelled as its UTF-8 bytes.

Tokens of characters begin with a space, which no word has: a text cannot hold them, whatever it shows.
"""

import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence

from wordseq.text.tokenizers import JOINER, text_of_bytes

LETTER = " "
"""Begins the token of a character, e.g. " h"."""

WORD_START = "  "
"""Begins the token of a character that begins a spelled word, e.g. "  h"; alone, the token of a mark without a character."""

_SHOWN_START = "\u2581"

_SPACE = re.compile(r"\s")

_BYTES = {f"{LETTER}<0x{byte:02X}>": bytes([byte]) for byte in range(256)}


class LetterCounts:
    """Counts the characters of words, at the beginning of a word and anywhere."""

    def __init__(self) -> None:
        self._first: Counter[str] = Counter()
        self._any: Counter[str] = Counter()

    def watch(self, counts: Iterable[tuple[str, int]]) -> Iterator[tuple[str, int]]:
        """Yield words with their numbers of occurrences, and count their characters."""
        for word, number in counts:
            self._first[word[0]] += number
            for char in word:
                self._any[char] += number
            yield word, number

    def tokens(self, min_freq: int) -> list[str]:
        """The tokens of characters for the beginning of a vocabulary: the mark alone, marked ones, unmarked ones, 256 bytes.

        Args:
            min_freq: characters with fewer occurrences get no token. So training has words that are spelled in bytes.
        """
        marked, plain = _frequent(self._first, min_freq), _frequent(self._any, min_freq)
        return [WORD_START, *(WORD_START + char for char in marked), *(LETTER + char for char in plain), *_BYTES]


def _frequent(counts: Counter[str], min_freq: int) -> list[str]:
    """The characters with `min_freq` occurrences, by falling frequency; equal ones are in code point order."""
    # A symbol that training lacks may touch a word.
    kept = {char for char, number in counts.items() if number >= min_freq} | {JOINER}
    return sorted(kept, key=lambda char: (-counts[char], char))


class Speller:
    """Spells words with the tokens of characters of a vocabulary.

    Args:
        tokens: of the characters, see `LetterCounts.tokens`.

    Attributes:
        size: number of tokens.
        starts: number of tokens that begin a word: they are the first.

    Raises:
        ValueError: a byte is missing, or the order is another.
    """

    def __init__(self, tokens: Sequence[str]) -> None:
        self.size, self.starts = len(tokens), sum(token.startswith(WORD_START) for token in tokens)
        self._marked = {token.removeprefix(WORD_START): token for token in tokens[: self.starts]}
        self._plain = {token.removeprefix(LETTER): token for token in tokens[self.starts :]}
        missing = sorted(_BYTES.keys() - tokens)
        if missing or not all(token.startswith(WORD_START) for token in tokens[: self.starts]):
            raise ValueError(f"no token{missing[0]}" if missing else "the tokens of characters are in another order")

    def __contains__(self, char: object) -> bool:
        """Whether a character has a token: others are spelled as bytes."""
        return char in self._plain

    def spell(self, word: str) -> list[str]:
        """The tokens of the characters of a word, which has at least one."""
        first = self._marked.get(word[0])
        tokens = [first or WORD_START]
        for char in word[1:] if first else word:
            known = self._plain.get(char)
            tokens += [known] if known else [f"{LETTER}<0x{byte:02X}>" for byte in char.encode()]
        return tokens


def join_letters(tokens: Iterable[str]) -> list[str]:
    """The words of any tokens: characters joined, other tokens as they are.

    Characters after another token than a character are a word of their own, also without a mark. A mark without characters is
    nothing. Bytes that are not UTF-8 become U+FFFD, and so do those of a space: a word has none.
    """
    words: list[str] = []
    letters: list[bytes] = []
    for token in tokens:
        spelled = token.startswith(LETTER)
        if letters and (not spelled or token.startswith(WORD_START)):
            words.append(_joined(letters))
            letters = []
        if not spelled:
            words.append(token)
        elif token != WORD_START:
            letters.append(_BYTES[token] if token in _BYTES else token.lstrip(LETTER).encode())
    return [*words, *([_joined(letters)] if letters else [])]


def _joined(letters: Iterable[bytes]) -> str:
    return _SPACE.sub("\ufffd", text_of_bytes(b"".join(letters)))


def spelling_line(parts: Mapping[str, Mapping[str, int]]) -> str:
    """How many words are spelled, and how long sentences become by that.

    Args:
        parts: for "train" and "dev" the numbers of "sentences", "tokens", "words" and "spelled" words, see
            `batches.table.PairTable.write_ids`.
    """
    shares, spelled, whole = [], [], []
    for name, part in parts.items():
        shares.append(f"{part['spelled'] / max(part['words'], 1):.2%} of {name} words")
        spelled.append(f"{part['tokens'] / max(part['sentences'], 1):.1f}")
        whole.append(f"{part['words'] / max(part['sentences'], 1):.1f}")
    return (
        f"spells {' and '.join(shares)} in characters: {' and '.join(spelled)} tokens per sentence, {' and '.join(whole)} "
        "with <unk> for these words"
    )


def shown_letter(token: str) -> str:
    """A token for people to read: that of a character as "▁h" or "h", others as they are."""
    return token.replace(WORD_START, _SHOWN_START, 1).removeprefix(LETTER) if token.startswith(LETTER) else token
