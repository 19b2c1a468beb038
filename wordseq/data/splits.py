"""Leak-free splits: all translations of a source, and of sources that differ by case or punctuation, stay together."""

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

HASH_DIGITS = 16

HELD_OUT_FILE = "held_out.json"
"""In the folder of a run or of a prepared corpus: `dev` and `test`, each a `HeldOut`."""

# Punctuation, white space and control or format characters; symbols such as "+" carry meaning.
_BETWEEN_WORDS = regex.compile(r"[\p{P}\p{Z}\p{C}]+")


@dataclass(frozen=True)
class HeldOut:
    """Sentences kept from training.

    Attributes:
        sources: normalised; distinct when the tool made the split, line by line as given otherwise.
        references: for each source all its translations, at least one.
    """

    sources: list[str]
    references: list[list[str]]

    @classmethod
    def load(cls, folder: Path, part: str) -> Self:
        """The part "dev" or "test" in a folder's `HELD_OUT_FILE`.

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
                str.encode(text)  # neither another type nor half a character
        except (KeyError, TypeError, ValueError):
            raise UserError(f"{path}: damaged: no {part} split in it") from None
        return found


def group_key(source: str) -> str:
    """What the members of a group have in common: "Go.", "Go!" and "go" have the key "go".

    The text casefolded, each run of punctuation and white space one space, none at the ends; a text of nothing else
    keeps it.
    """
    folded = source.casefold()
    return _BETWEEN_WORDS.sub(" ", folded).strip() or folded


def held_out_parts(pairs: Iterable[Pair], ranks: Mapping[str, int], test: int) -> dict[str, HeldOut]:
    """Dev and test split of pairs, each source once with all its references; whatever the order of `pairs`.

    Args:
        pairs: those of the sources in `ranks`, and any others.
        ranks: of each source the place of its group in the order of `key_digest`.
        test: groups of a lower rank are the test split, the others dev.
    """
    sources = sorted(ranks, key=lambda source: (ranks[source], source))
    references: dict[str, list[str]] = {source: [] for source in sources}
    for pair in pairs:
        if pair.src in ranks:
            references[pair.src].append(pair.tgt)
    found = [sorted(texts) for texts in references.values()]
    first = sum(rank < test for rank in ranks.values())
    return {"dev": HeldOut(sources[first:], found[first:]), "test": HeldOut(sources[:first], found[:first])}


def key_digest(key: str, seed: int) -> bytes:
    """Decides the order in which groups are held out."""
    return sha256(f"{seed}\n{key}")


def draw_digest(pair: Pair, seed: int) -> bytes:
    """Decides the order in which pairs are drawn."""
    return sha256(f"{seed}\n{pair.src}\t{pair.tgt}")


def pair_digest(pair: Pair) -> bytes:
    """Stands for a pair; normalised text holds no TAB."""
    return sha256(f"{pair.src}\t{pair.tgt}")


def audit(
    train: Mapping[str, Any], held_out: Mapping[str, HeldOut], train_keys: Container[str], targets: Container[str]
) -> dict[str, Any]:
    """What shows that a split is free of leaks, and whether two splits are the same; for JSON.

    Args:
        train: what is known of the training part; goes into the result as it is.
        held_out: "dev" and "test".
        train_keys: group keys of the training sources, at least those that a held-out source has too.
        targets: the training targets, at least those that are held-out references too.

    Returns:
        By part: its sizes and a hash of all its text ("sha256"); for dev and test a hash of each group of sources
        ("source_hashes"); "shared_sources": how many sources of the second part have their group in the first too;
        "references_seen": how many references are also a target of training. Nothing grows with the training part.
    """
    keys = {name: {group_key(source) for source in part.sources} for name, part in held_out.items()}
    seen = {"train": train_keys, **keys}
    parts = {
        name: {
            "sources": len(part.sources),
            "groups": len(keys[name]),
            "references": sum(map(len, part.references)),
            "sha256": sha256(json.dumps([part.sources, part.references], ensure_ascii=False)).hex(),
            "source_hashes": sorted(sha256(key).hex()[:HASH_DIGITS] for key in keys[name]),
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


def sizes(groups: int, test_size: float, dev_size: float) -> tuple[int, int]:
    """Number of groups in the test and in the dev split, of `groups` in all.

    Raises:
        UserError: a part would be empty.
    """
    if groups < 3:
        raise UserError(f"the corpus has {groups} distinct sources; training, dev and test need at least one each")
    test = _size("data.test_size", test_size, groups)
    dev = _size("data.dev_size", dev_size, groups)
    if test + dev >= groups:
        raise UserError(
            f"data.test_size = {test_size:g} and data.dev_size = {dev_size:g} leave nothing to train on: the corpus "
            f"has {groups:,} distinct sources, so together they may take at most {groups - 1:,}; "
            "a number below 1 is a share, e.g. 0.1"
        )
    return test, dev


def _size(name: str, size: float, groups: int) -> int:
    if size >= 1 and size != int(size):
        raise UserError(f"{name} = {size:g}: expected a whole number of sources, or a share below 1")
    number = int(size) if size >= 1 else round(size * groups)
    if number < 1:
        raise UserError(
            f"{name} = {size:g} holds out none of {groups:,} distinct sources; "
            f"choose from 1 to {groups - 2:,}, or a share of at least {1 / groups:.2g}"
        )
    return number


def sha256(text: str) -> bytes:
    """The digest of a text."""
    return hashlib.sha256(text.encode()).digest()
