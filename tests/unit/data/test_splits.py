"""Splits that leak nothing, whatever the order of the lines: laws of the reference that `test_prepare` compares with."""

import json
import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.reference.corpus import Split, audit, draw, split_by_source
from wordseq.data.pairs import Pair
from wordseq.data.splits import HeldOut, group_key, sizes
from wordseq.system.errors import UserError

WORDS = ("go", "Go", "stop", "we", "well", "tom")
ENDS = ("", ".", "!", " ?", "...")
SOURCES = st.tuples(st.lists(st.sampled_from(WORDS), min_size=1, max_size=3), st.sampled_from(ENDS)).map(
    lambda drawn: " ".join(drawn[0]) + drawn[1]
)
PAIRS = st.lists(st.builds(Pair, SOURCES, st.sampled_from("abcdef")), min_size=20, max_size=60, unique=True).filter(
    lambda pairs: len({group_key(pair.src) for pair in pairs}) >= 8
)


def made_up(number: int) -> list[Pair]:
    return [Pair(f"cow number {i // 2}", f"vache numéro {i}") for i in range(number)]


def keys(part: HeldOut) -> set[str]:
    return {group_key(source) for source in part.sources}


@settings(max_examples=40)
@given(PAIRS, st.integers(0, 3))
def test_no_group_is_in_two_parts_and_every_pair_is_in_one(pairs: list[Pair], seed: int) -> None:
    split = split_by_source(pairs, 2, 3, seed)
    train = {group_key(pair.src) for pair in split.train}
    assert not train & keys(split.dev)
    assert not train & keys(split.test)
    assert not keys(split.dev) & keys(split.test)
    assert len(keys(split.dev)) == 2
    assert len(keys(split.test)) == 3
    held_out = [
        Pair(source, reference)
        for part in (split.dev, split.test)
        for source, references in zip(part.sources, part.references, strict=True)
        for reference in references
    ]
    assert sorted(split.train + held_out) == sorted(pairs)
    report = audit(split)
    assert set(report["shared_sources"].values()) == {0}


@settings(max_examples=40)
@given(PAIRS, st.randoms(use_true_random=False))
def test_splits_do_not_depend_on_the_order_of_lines(pairs: list[Pair], chance: random.Random) -> None:
    shuffled = list(pairs)
    chance.shuffle(shuffled)
    first, second = split_by_source(pairs, 0.2, 2, 1), split_by_source(shuffled, 0.2, 2, 1)
    assert (first.dev, first.test) == (second.dev, second.test)
    assert set(first.train) == set(second.train)
    assert audit(first) == audit(second)
    assert set(draw(pairs, 7, 1)) == set(draw(shuffled, 7, 1))


@pytest.mark.parametrize(
    ("sources", "key"),
    [
        (["Go.", "Go!", "go", " GO ?!"], "go"),
        (["¿Qué tal?", "qué tal"], "qué tal"),
        (["Wait, Tom!", "wait  tom"], "wait tom"),
        (["I’m in.", "I'm in"], "i m in"),
        (["STRASSE", "straße."], "strasse"),
        (["कि?"], "कि"),
        (["12+34"], "12+34"),
        (["?!"], "?!"),
        (["😀."], "😀"),
    ],
)
def test_near_identical_sources_have_one_key(sources: list[str], key: str) -> None:
    assert {group_key(source) for source in sources} == {key}


def test_a_group_keeps_its_sources_apart_each_with_all_its_references() -> None:
    pairs = [Pair("Go.", "b"), Pair("Go!", "c"), Pair("Go.", "a")]
    others = made_up(4)
    seeds = (split_by_source(pairs + others, 1, 1, seed) for seed in range(100))
    split = next(split for split in seeds if "Go." in split.test.sources)
    assert split.test == HeldOut(["Go!", "Go."], [["c"], ["a", "b"]])


def test_sizes_are_numbers_or_shares_of_groups() -> None:
    split = split_by_source(made_up(400), 10, 0.25, 1)
    assert (len(split.dev.sources), len(split.test.sources), len(split.train)) == (10, 50, 280)


def test_a_share_is_rounded() -> None:
    assert sizes(7, 0.4, 0.2) == (3, 1)


def test_splits_depend_only_on_the_seed() -> None:
    pairs = made_up(400)
    assert split_by_source(pairs, 10, 10, 1) == split_by_source(pairs, 10, 10, 1)
    assert split_by_source(pairs, 10, 10, 1).test != split_by_source(pairs, 10, 10, 2).test


def test_more_pairs_move_few_groups() -> None:
    before = set(split_by_source(made_up(2000), 100, 100, 1).test.sources)
    after = set(split_by_source(made_up(2100), 100, 100, 1).test.sources)
    assert len(before & after) >= 85


def test_dev_does_not_depend_on_its_own_size_and_test_on_neither() -> None:
    small, large = split_by_source(made_up(400), 10, 20, 1), split_by_source(made_up(400), 30, 20, 1)
    assert small.test == large.test
    assert large.dev.sources[:10] == small.dev.sources


@pytest.mark.parametrize(
    ("dev", "test", "said"),
    [
        (10, 0.01, r"data\.test_size = 0\.01 holds out none of 20 distinct sources; set it to a number from 1 to 18"),
        (0.01, 10, r"data\.dev_size = 0\.01 holds out none .* a share of at least 0\.05"),
        (10, 10, r"data\.test_size = 10 and data\.dev_size = 10 leave nothing to train on.* at most 19"),
        (0.5, 0.5, "leave nothing to train on"),
        (1000, 1000, "20 distinct sources"),
        (1.5, 10, r"data\.dev_size = 1\.5: expected a whole number"),
    ],
)
def test_sizes_that_leave_a_part_empty(dev: float, test: float, said: str) -> None:
    with pytest.raises(UserError, match=said):
        split_by_source(made_up(40), dev, test, 1)


@pytest.mark.parametrize(("groups", "expected"), [(20_000, 1000), (10_000, 1000), (9_999, 999), (100, 10), (5, 1)])
def test_by_default_a_split_has_a_thousand_sources_but_at_most_a_tenth(groups: int, expected: int) -> None:
    assert sizes(groups, 0, 0) == (expected, expected)
    assert sizes(groups, None, 0) == (0, expected)
    assert sizes(groups, 0, None) == (expected, 0)


def test_too_small_a_corpus() -> None:
    with pytest.raises(UserError, match="the corpus has 2 distinct sources"):
        split_by_source(made_up(4), 1, 1, 1)


def test_drawn_pairs_keep_their_order_and_grow_with_their_number() -> None:
    pairs = made_up(100)
    few, more = draw(pairs, 10, 1), draw(pairs, 20, 1)
    assert len(few) == 10
    assert set(few) < set(more)
    assert few == [pair for pair in pairs if pair in few]
    assert few != draw(pairs, 10, 2)
    assert draw(pairs, 100, 1) == draw(pairs, 1000, 1) == pairs
    assert len(draw(pairs * 3, 10, 1)) == 10


def test_the_audit_sees_what_is_shared() -> None:
    split = Split(
        train=[Pair("Go.", "a"), Pair("Stop.", "b"), Pair("Stop.", "b")],
        dev=HeldOut(["go!", "new", "old"], [["b"], ["c", "a"], ["d"]]),
        test=HeldOut(["Old?", "other", "stop"], [["x"], ["y"], ["z"]]),
    )
    report = audit(split)
    assert report["shared_sources"] == {"train_dev": 1, "train_test": 1, "dev_test": 1}
    assert report["references_seen"] == {"dev": 2, "test": 0}
    assert (report["dev"]["seen"], report["test"]["seen"]) == ([0], [2])
    assert report["train"]["pairs"] == 3
    assert report["train"]["sources"] == 2
    assert report["dev"]["references"] == 4
    assert len(report["test"]["source_hashes"]) == 3
    assert len(report["test"]["source_hashes"][0]) == 16
    assert json.loads(json.dumps(report)) == report


def test_the_hash_of_a_part_changes_with_its_text() -> None:
    split = split_by_source(made_up(400), 10, 10, 1)
    report = audit(split)
    changed = HeldOut(split.test.sources, [[*split.test.references[0], "autre"], *split.test.references[1:]])
    other = audit(Split([Pair("cow", "vache"), *split.train[1:]], split.dev, changed))
    assert other["test"]["sha256"] != report["test"]["sha256"]
    assert other["train"]["sha256"] != report["train"]["sha256"]
    assert other["dev"]["sha256"] == report["dev"]["sha256"]


def test_the_audit_does_not_grow_with_the_training_part() -> None:
    sizes = [len(json.dumps(audit(split_by_source(made_up(number), 10, 10, 1)))) for number in (400, 40_000)]
    assert sizes[1] - sizes[0] < 20
