"""The pairs of an epoch depend on seed, epoch and pair alone, and are drawn ahead of the training that needs them."""

import errno
import functools
import os
import threading

import numpy as np
import pytest

from tests.reference.corpus import train_codec
from tests.runs import some_pairs
from wordseq.batches import epochs
from wordseq.batches.batching import padding_share, plan_epoch
from wordseq.batches.epochs import EpochPairs, samplers_for
from wordseq.batches.id_store import IdStore
from wordseq.config.data import DataConfig
from wordseq.config.schema import TrainConfig

TEXTS = [pair.src for pair in some_pairs()[:300]]
RATE = 0.2


@functools.cache
def codec(level="bpe"):
    return train_codec(TEXTS, DataConfig(level=level, subword_size=500, min_freq=1), "tgt")


@functools.cache
def store(level="bpe"):
    return IdStore.of([codec(level).to_ids(text) for text in TEXTS])


def drawn(levels=("bpe", "unigram"), **options):
    """Pairs whose source and target are the same texts."""
    samplers = samplers_for([codec(level) for level in levels], RATE)
    return EpochPairs((store(levels[0]), store(levels[1])), samplers, **{"seed": 1, **options})


def assert_equal(found, expected):
    for ours, theirs in zip(found, expected, strict=True):
        np.testing.assert_array_equal(ours.flat, theirs.flat)
        np.testing.assert_array_equal(ours.offsets, theirs.offsets)


def texts_of(pairs, levels=("bpe", "unigram")):
    return [[codec(level).to_text(ids.tolist()) for ids in found] for level, found in zip(levels, pairs, strict=True)]


@pytest.fixture(autouse=True)
def _small_blocks(monkeypatch):
    monkeypatch.setattr(epochs, "BLOCK_PAIRS", 70)


def test_without_sampling_every_epoch_is_the_same():
    stores = store(), store("unigram")
    pairs = EpochPairs(stores, samplers_for([codec(), codec("unigram")], 0.0), last=9)
    assert not pairs.sampled
    assert all(pairs.of(epoch) is stores for epoch in (1, 2, 5))


def test_every_epoch_has_its_own_segmentations_of_the_same_texts():
    with drawn() as pairs:
        found = [pairs.of(epoch) for epoch in (1, 2)]
    for each in found:
        assert texts_of(each) == [TEXTS, TEXTS]
        assert [ours.dtype for store in each for ours in (store.flat, store.offsets)] == [np.int32, np.int64] * 2
    usual = store(), store("unigram")
    for one, other in ((0, 1), (0, None), (1, None)):
        for ours, theirs in zip(found[one], usual if other is None else found[other], strict=True):
            assert ours.flat.tolist() != theirs.flat.tolist()


def test_source_and_target_are_drawn_apart():
    with drawn(("bpe", "bpe")) as pairs:
        src, tgt = pairs.of(1)
    assert src.flat.tolist() != tgt.flat.tolist()


def test_only_subwords_are_drawn():
    with drawn(("word", "bpe")) as pairs:
        src, tgt = pairs.of(1)
    assert src is store("word")
    assert tgt.flat.tolist() != store().flat.tolist()
    assert samplers_for([codec("word"), codec("char")], RATE) == [None, None]


def test_an_epoch_depends_on_seed_and_epoch_and_on_no_epoch_before_it(monkeypatch):
    with drawn(last=4) as pairs:
        first = [pairs.of(epoch) for epoch in (1, 2, 3)]
    monkeypatch.setattr(epochs, "BLOCK_PAIRS", 1000)
    # Begun in another epoch, as a run that is resumed.
    with drawn(last=4) as pairs:
        assert_equal(pairs.of(3), first[2])
    with drawn(seed=2) as pairs:
        assert pairs.of(1)[0].flat.tolist() != first[0][0].flat.tolist()


def test_the_next_epoch_is_drawn_while_one_is_trained_and_only_once(monkeypatch):
    asked, draw, caller = [], EpochPairs._draw, threading.get_ident()

    def watched(pairs, epoch):
        assert threading.get_ident() != caller
        asked.append(epoch)
        return draw(pairs, epoch)

    monkeypatch.setattr(EpochPairs, "_draw", watched)
    with drawn(last=3) as pairs:
        pairs.of(1)
        pairs._drawn[2].result(60)
        assert asked == [1, 2]
        # Asked again, as by the line that describes the plan and then by the loop.
        assert pairs.of(1) is pairs.of(1)
        assert pairs.of(2) is pairs.of(2)
        pairs._drawn[3].result(60)
        pairs.of(3)
        assert pairs._drawn.keys() == {3}, "what is over is kept, or an epoch after the last is drawn"
    assert asked == [1, 2, 3]


def test_the_end_of_training_ends_the_drawing(monkeypatch):
    waiting, go, blocks = threading.Event(), threading.Event(), EpochPairs._blocks

    def slow(*given):
        for block in blocks(*given):
            yield block
            waiting.set()
            go.wait(60)

    with drawn(last=2) as pairs:
        pairs.of(1)
        pairs._drawn[2].result(60)
        monkeypatch.setattr(EpochPairs, "_blocks", slow)
        pairs._last = 3
        pairs.of(2)
        # In the middle of the third epoch.
        assert waiting.wait(60)
        unfinished = pairs._drawn[3]
        threading.Timer(0.05, go.set).start()
    assert unfinished.done()
    with pytest.raises(RuntimeError, match="closed"):
        unfinished.result()


def test_files_have_no_names_and_a_full_disk_is_an_error_of_the_epoch(tmp_path, monkeypatch):
    with drawn(last=2, folder=tmp_path) as pairs:
        src, _ = pairs.of(1)
        assert list(tmp_path.iterdir()) == []
    assert codec().to_text(src[0].tolist()) == TEXTS[0], "the file is gone with the thread"
    with drawn(folder=tmp_path / "missing") as pairs, pytest.raises(FileNotFoundError):
        pairs.of(1)

    def full(*_, **__):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(epochs, "_mapped", full)
    with drawn(folder=tmp_path) as pairs, pytest.raises(OSError, match="No space left"):
        pairs.of(1)


def test_batches_are_planned_by_the_lengths_of_their_epoch():
    train = TrainConfig(batch_tokens=200)
    with drawn() as pairs:
        stores = pairs.of(1)
    plan = list(plan_epoch(*stores, train, 1))
    assert sorted(row for rows in plan for row in rows) == list(range(len(TEXTS)))
    lengths = stores[1].lengths + 1
    assert all(lengths[rows].max() * len(rows) <= 200 for rows in plan)
    by_others = plan_epoch(store(), store("unigram"), train, 1)
    assert padding_share(*stores, plan) < 0.9 * padding_share(*stores, by_others)
