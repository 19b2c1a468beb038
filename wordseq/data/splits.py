"""Leak-free splits: all pairs of a source, and of sources that differ only in case or punctuation, go to one split."""

import hashlib
import json
from collections.abc import Container, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import regex

from wordseq.data.pairs import Pair
from wordseq.system.errors import UserError
from wordseq.system.files import read_json
from wordseq.text.features import word_of

# 64 bits: among a million groups two share a hash with a chance of 1 in 37 million.
HASH_DIGITS = 16

HELD_OUT_FILE = "held_out.json"
"""File in a run folder and in the folder of a prepared corpus: `dev` and `test`, each a `HeldOut`."""

# Punctuation, white space, control and format characters. Symbols stay: "1 + 2" and "1 < 2" are different sources.
_BETWEEN_WORDS = regex.compile(r"[\p{P}\p{Z}\p{C}]+")


@dataclass(frozen=True)
class HeldOut:
    """Held-out sentences, a dev or test split.

    Attributes:
        sources: normalised sources, distinct if wordseq made the split; given files keep their lines and order.
        references: for each source all its translations, at least one.
    """

    sources: list[str]
    references: list[list[str]]

    @property
    def sha256(self) -> str:
        """A digest of the sentences and references, in hex."""
        return sha256(json.dumps([self.sources, self.references], ensure_ascii=False)).hex()

    @classmethod
    def load(cls, folder: Path, part: str) -> Self:
        """The split "dev" or "test" of a folder's `HELD_OUT_FILE`.

        Raises:
            UserError: the file is missing or damaged.
        """
        path = folder / HELD_OUT_FILE
        try:
            found = cls(**read_json(path)[part])
            if not isinstance(found.sources, list) or len(found.sources) != len(found.references) or not found.sources:
                raise ValueError("sources and references must be lists of one length")
            if not all(isinstance(texts, list) and texts for texts in found.references):
                raise ValueError("a source without references")
            for text in (*found.sources, *(text for texts in found.references for text in texts)):
                str.encode(text)  # Fails for another type and for a lone surrogate.
        except (KeyError, TypeError, ValueError):
            raise UserError(f"{path}: damaged: it has no valid {part} split") from None
        return found


def group_key(source: str) -> str:
    """The key that groups sources: "Go.", "Go!" and "go" have the key "go", whatever their features.

    The key is the casefolded text, with one space for each run of punctuation and white space and none at the ends. A text
    of punctuation only keeps it.
    """
    # casefold, not lower: "STRASSE" and "Straße" are one source.
    folded = word_of(source).casefold()
    return _BETWEEN_WORDS.sub(" ", folded).strip() or folded


def held_out_parts(pairs: Iterable[Pair], ranks: Mapping[str, int], test: int) -> dict[str, HeldOut]:
    """Dev or test split of pairs, or both: each source once with all its references. The order of `pairs` has no effect.

    Args:
        pairs: pairs of the sources in `ranks`, and any others, which are ignored.
        ranks: for each held-out source the rank of its group in the order of `key_digest`.
        test: groups of a lower rank are the test split, the others dev.
    """
    # Sorted, with sorted references, so that a shuffled corpus gives the same split files.
    sources = sorted(ranks, key=lambda source: (ranks[source], source))
    references: dict[str, list[str]] = {source: [] for source in sources}
    for pair in pairs:
        if pair.src in ranks:
            references[pair.src].append(pair.tgt)
    found = [sorted(texts) for texts in references.values()]
    first = sum(rank < test for rank in ranks.values())
    parts = {"dev": HeldOut(sources[first:], found[first:]), "test": HeldOut(sources[:first], found[:first])}
    return {part: split for part, split in parts.items() if split.sources}


def key_digest(key: str, seed: int) -> bytes:
    """Sort key: groups are held out in this order."""
    return sha256(f"{seed}\n{key}")


def draw_digest(pair: Pair, seed: int) -> bytes:
    """Sort key: training pairs are drawn in this order."""
    return sha256(f"{seed}\n{pair.src}\t{pair.tgt}")


def pair_digest(pair: Pair) -> bytes:
    """Identifies a pair; unambiguous: normalised text has no TAB, and all sources of a corpus have features or none has."""
    return sha256(f"{pair.src}\t{pair.tgt}")


def audit(
    train: Mapping[str, Any], held_out: Mapping[str, HeldOut], train_keys: Container[str], targets: Container[str]
) -> dict[str, Any]:
    """Figures that show that a split has no leaks, and hashes that show whether two splits are equal; for JSON.

    Args:
        train: figures of the training split, copied into the result.
        held_out: the splits "dev" and "test".
        train_keys: group keys of the training sources, at least those that a held-out source also has.
        targets: training targets, at least those that are also a held-out reference.

    Returns:
        For each split its sizes and a hash of its text ("sha256"). For dev and test a hash of each source group
        ("source_hashes"). "seen": positions, from 0, of the sources whose group is also in training.
        "shared_sources": number of sources of the second split whose group is also in the first.
        "references_seen": number of references that are also a training target. The size does not depend on the training split.
    """
    keys = {name: {group_key(source) for source in part.sources} for name, part in held_out.items()}
    seen = {"train": train_keys, **keys}
    parts = {
        name: {
            "sources": len(part.sources),
            "groups": len(keys[name]),
            "references": sum(map(len, part.references)),
            "sha256": part.sha256,
            "source_hashes": sorted(sha256(key).hex()[:HASH_DIGITS] for key in keys[name]),
            "seen": [place for place, source in enumerate(part.sources) if group_key(source) in train_keys],
        }
        for name, part in held_out.items()
    }
    return {
        "train": dict(train),
        **parts,
        "shared_sources": {
            f"{first}_{second}": sum(group_key(source) in seen[first] for source in held_out[second].sources)
            for first, second in (("train", "dev"), ("train", "test"), ("dev", "test"))
        },
        "references_seen": {
            name: sum(reference in targets for references in part.references for reference in references)
            for name, part in held_out.items()
        },
    }


MOST_SOURCES, MOST_SHARE = 1000, 10
"""A split has this number of source groups by default, but at most one group in `MOST_SHARE` of all."""


def sizes(groups: int, test_size: float | None, dev_size: float | None) -> tuple[int, int]:
    """Number of source groups in the test split and in the dev split, of `groups` in all.

    Args:
        groups: number of groups.
        test_size: the setting data.test_size; None: the split is given, and 0 are taken.
        dev_size: the setting data.dev_size, likewise.

    Raises:
        UserError: a split would be empty.
    """
    wanted = {"data.test_size": test_size, "data.dev_size": dev_size}
    needed = 1 + sum(size is not None for size in wanted.values())
    if groups < needed:
        sources = "source" if groups == 1 else "sources"
        raise UserError(f"the corpus has {groups} distinct {sources}; train, dev and test need at least one each")
    test, dev = (0 if size is None else _size(name, size, groups) for name, size in wanted.items())
    if test + dev >= groups:
        set_to = " and ".join(f"{name} = {size:g}" for name, size in wanted.items() if size is not None)
        raise UserError(
            f"{set_to} leave nothing to train on: the corpus "
            f"has {groups:,} distinct sources, so both together may be at most {groups - 1:,}; "
            "a number below 1 is a share, e.g. 0.1"
        )
    return test, dev


def _size(name: str, size: float, groups: int) -> int:
    if size >= 1 and size != int(size):
        raise UserError(f"{name} = {size:g}: expected a whole number of sources, or a share below 1")
    if not size:
        return max(1, min(MOST_SOURCES, groups // MOST_SHARE))
    number = int(size) if size >= 1 else round(size * groups)
    if number < 1:
        raise UserError(
            f"{name} = {size:g} holds out none of {groups:,} distinct sources; "
            f"set it to a number from 1 to {groups - 2:,}, or to a share of at least {1 / groups:.2g}"
        )
    return number


def sha256(text: str) -> bytes:
    """The digest of a text."""
    return hashlib.sha256(text.encode()).digest()
