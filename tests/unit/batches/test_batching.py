import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from wordseq.batches.batching import POOL_BATCHES, Batch, make_batch, mask, pad, padding_share, plan_epoch
from wordseq.batches.id_store import IdStore
from wordseq.config.schema import TrainConfig
from wordseq.text.vocab import BOS_ID, EOS_ID, PAD_ID

ID_LISTS = st.lists(st.lists(st.integers(1, 2**31 - 1), max_size=9), min_size=1, max_size=30)


def _stores(pairs: int, seed: int = 0) -> tuple[IdStore, IdStore]:
    rng = np.random.default_rng(seed)
    return tuple(IdStore.of([[4] * n for n in rng.integers(1, 30, pairs)]) for _ in range(2))


def _as_lists(plan) -> list[list[int]]:
    return [rows.tolist() for rows in plan]


# Stores


@given(ID_LISTS)
def test_a_store_returns_its_sequences(sequences):
    store = IdStore.of(sequences)
    assert len(store) == len(sequences)
    assert [store[i].tolist() for i in range(len(store))] == sequences
    assert store.lengths.tolist() == [len(sequence) for sequence in sequences]
    assert store.flat.dtype == np.int32


def test_an_empty_store():
    store = IdStore.of([])
    assert len(store) == 0
    assert store.lengths.tolist() == []


def test_a_store_can_lie_in_a_file(tmp_path):
    store = IdStore.of([[4, 5], [], [6]])
    np.save(tmp_path / "flat.npy", store.flat)
    mapped = IdStore(np.load(tmp_path / "flat.npy", mmap_mode="r"), store.offsets)
    assert pad([mapped[i] for i in range(3)]).tolist() == pad([[4, 5], [], [6]]).tolist()


# Arrays


def test_padded_arrays_by_hand():
    assert (PAD_ID, BOS_ID, EOS_ID) == (0, 2, 3)
    assert pad([[5, 6], [7], []]).tolist() == [[5, 6, 3], [7, 3, 0], [3, 0, 0]]
    assert pad([[5, 6], [7], []], bos=True).tolist() == [[2, 5, 6, 3], [2, 7, 3, 0], [2, 3, 0, 0]]
    assert pad([[5]]).dtype == np.int32


@pytest.mark.parametrize("length", [0, 1, 255, 256, 257, 5_000])
def test_a_batch_has_every_token_of_its_pairs_however_long_they_are(length):
    ids = np.random.default_rng(length).integers(4, 2**31 - 1, length).tolist()
    src, tgt = IdStore.of([[5], ids]), IdStore.of([ids[::-1], [6]])
    batch = make_batch(src, tgt, np.arange(2))
    assert batch.src_ids_bs[1, : length + 1].tolist() == [*ids, EOS_ID]
    assert batch.tgt_ids_bt[0, : length + 2].tolist() == [BOS_ID, *ids[::-1], EOS_ID]
    assert batch.tokens == length + 3


def test_a_batch_by_hand():
    src, tgt = IdStore.of([[4], [5, 6], [7, 8, 9]]), IdStore.of([[11, 12], [], [13]])
    batch = make_batch(src, tgt, np.array([2, 0]))
    assert batch.src_ids_bs.tolist() == [[7, 8, 9, 3], [4, 3, 0, 0]]
    assert batch.tgt_ids_bt.tolist() == [[2, 13, 3, 0], [2, 11, 12, 3]]
    # Words and end tokens: 13 </s>, 11 12 </s>.
    assert batch.tokens == 5


@given(ID_LISTS)
def test_padding_is_masked_and_nothing_else(sequences):
    ids = pad(sequences, bos=True)
    assert mask(ids).sum(1).tolist() == [len(sequence) + 2 for sequence in sequences]
    assert Batch(ids, ids).tokens == sum(len(sequence) + 1 for sequence in sequences)


# Plans

SIZES = st.one_of(
    st.builds(lambda n: {"batch_size": n}, st.integers(1, 40)),
    st.builds(lambda n: {"batch_tokens": n}, st.integers(1, 200)),
)


@given(st.integers(1, 400), st.integers(0, 5), SIZES)
def test_every_pair_is_in_exactly_one_batch(pairs, seed, sizes):
    plan = plan_epoch(*_stores(pairs, seed), TrainConfig(seed=seed, **sizes), 1)
    assert sorted(np.concatenate(plan).tolist()) == list(range(pairs))
    assert all(len(rows) for rows in plan)


@given(st.integers(1, 200), st.integers(1, 200))
def test_the_token_budget_holds_unless_a_sentence_is_alone(pairs, budget):
    src, tgt = _stores(pairs, pairs)
    for rows in plan_epoch(src, tgt, TrainConfig(seed=1, batch_tokens=budget), 1):
        positions = make_batch(src, tgt, rows).tgt_ids_bt[:, 1:].size
        assert positions <= budget or len(rows) == 1


def test_the_token_budget_is_used():
    src = tgt = IdStore.of([[4] * 4] * 100)
    plan = plan_epoch(src, tgt, TrainConfig(seed=1, batch_tokens=25), 1)
    # Five positions per sentence, with EOS.
    assert [len(rows) for rows in plan] == [5] * 20


def test_batches_by_sentences_are_full_but_one_per_pool():
    plan = plan_epoch(*_stores(1000), TrainConfig(seed=1, batch_size=7), 1)
    sizes = sorted(len(rows) for rows in plan)
    assert sizes[0] == 1000 % 7
    assert sizes[1:] == [7] * (1000 // 7)
    assert POOL_BATCHES * 7 == 700


def test_a_plan_depends_on_seed_and_epoch_alone():
    src, tgt = _stores(500)

    def plan(seed: int, epoch: int) -> list[list[int]]:
        return _as_lists(plan_epoch(src, tgt, TrainConfig(seed=seed, batch_tokens=100), epoch))

    first = plan(1, 1)
    plans = [plan(seed, epoch) for seed, epoch in ((1, 2), (2, 1), (2, 2))]
    np.random.seed(0)  # The global generator has no say.
    assert plan(1, 1) == first
    for n, other in enumerate(plans):
        assert other != first
        assert all(other != earlier for earlier in plans[:n])


def test_batches_come_in_random_order_of_length():
    src, tgt = _stores(2000)
    plan = plan_epoch(src, tgt, TrainConfig(seed=1, batch_size=10), 1)
    longest = np.array([tgt.lengths[rows].max() for rows in plan])
    assert abs(np.corrcoef(longest, np.arange(len(plan)))[0, 1]) < 0.2


def test_buckets_save_padding():
    src, tgt = _stores(2000)
    plan = plan_epoch(src, tgt, TrainConfig(seed=1, batch_size=10), 1)
    order = np.arange(2000)
    unsorted = [order[k : k + 10] for k in range(0, 2000, 10)]
    assert padding_share(src, tgt, plan) < 0.6 * padding_share(src, tgt, unsorted)


def test_padding_share_by_hand():
    src, tgt = IdStore.of([[4], [5, 6], [7, 8, 9]]), IdStore.of([[11, 12], [], [13]])
    plan = [np.array([0, 1]), np.array([2])]
    # Sources with their ends: 2 + 3 of 2 x 3 positions, 4 of 4. Targets: 3 + 1 of 2 x 3, 2 of 2.
    assert padding_share(src, tgt, plan) == pytest.approx(1 - (5 + 4 + 4 + 2) / (6 + 4 + 6 + 2))
    assert padding_share(src, tgt, [np.array([k]) for k in range(3)]) == 0
