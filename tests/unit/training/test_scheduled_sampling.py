import math
from types import SimpleNamespace

import numpy as np
import pytest
import tensorflow as tf

from tests.closeness import close
from tests.eager import eagerly
from tests.runs import entries
from tests.unit.models.test_seq2seq import SRC, TGT, fixed_model, make_model
from tests.unit.training.test_loop import SRC as MANY_SRC
from tests.unit.training.test_loop import TGT as MANY_TGT
from tests.unit.training.test_loop import Scripted, Silent, replace
from wordseq.batches.batching import mask, pad
from wordseq.batches.epochs import EpochPairs
from wordseq.config.schema import ModelConfig, TrainConfig
from wordseq.models.seq2seq import Seq2Seq
from wordseq.runs.folder import LAST, RunFolder
from wordseq.text.vocab import BOS_ID, PAD_ID
from wordseq.training.loop import train_model
from wordseq.training.scheduled_sampling import fed_ids, gold_share
from wordseq.training.step import Trainer

SRC_IDS, TGT_IDS = tf.constant(pad(SRC)), tf.constant(pad(TGT, bos=True))
INPUTS = TGT_IDS[:, :-1]
KINDS = [
    {},
    {"cell": "lstm", "decoder_layers": 2, "attention": "none"},
    {"input_feeding": True, "peek": True},
    {"copy": True, "features": "separate", "attention_map": "sparsemax"},
]


# The share of gold tokens


def _share(schedule: str, step: int, floor: float = 0.0, decay: float = 100.0) -> float:
    train = TrainConfig(teacher_forcing=floor, teacher_forcing_schedule=schedule, teacher_forcing_decay=decay)
    return gold_share(train, step)


def test_shares_by_hand():
    assert _share("constant", 0, 0.3) == _share("constant", 10_000, 0.3) == 0.3
    assert _share("linear", 25) == 0.75
    assert _share("exponential", 100) == pytest.approx(math.exp(-1))
    assert _share("inverse_sigmoid", 200) == pytest.approx(100 / (100 + math.exp(2)))
    assert gold_share(TrainConfig(), 5) == 1


@pytest.mark.parametrize("schedule", ["linear", "exponential", "inverse_sigmoid"])
@pytest.mark.parametrize("floor", [0.0, 0.25])
def test_shares_fall_from_one_to_the_floor(schedule, floor):
    shares = [_share(schedule, step, floor) for step in (0, 1, 10, 100, 1000, 10**5, 2**31)]
    assert shares == sorted(shares, reverse=True)
    assert 0.99 <= shares[0] <= 1
    assert shares[2] < shares[0]
    assert shares[-1] == pytest.approx(floor, abs=1e-12)


# What is fed


def _fed(model, share: float, seed: int = 1, inputs=INPUTS, src=SRC_IDS) -> np.ndarray:
    memory, states = model.encode(src)
    return fed_ids(model, inputs, memory, states, tf.constant(share), tf.constant([7, seed])).numpy()


@pytest.mark.parametrize("settings", KINDS)
def test_with_a_share_of_one_all_is_gold(settings):
    np.testing.assert_array_equal(_fed(fixed_model(**settings), 1.0), INPUTS)


@pytest.mark.parametrize("settings", KINDS)
def test_with_a_share_of_zero_inputs_are_greedy_predictions(settings):
    model = fixed_model(**settings)
    fed_bt = _fed(model, 0.0)
    logits_btv = model((SRC_IDS, tf.constant(fed_bt))).numpy()
    logits_btv[:, :, [PAD_ID, BOS_ID]] = -np.inf
    expected_bt = np.concatenate([np.full((len(SRC), 1), BOS_ID), logits_btv.argmax(-1)[:, :-1]], 1)
    np.testing.assert_array_equal(fed_bt, np.where(mask(INPUTS), expected_bt, PAD_ID))
    assert (fed_bt != INPUTS.numpy()).any()


def test_bos_and_padding_stay():
    wide = tf.pad(INPUTS, [[0, 2], [0, 3]])
    fed_bt = _fed(fixed_model(), 0.0, inputs=wide, src=tf.pad(SRC_IDS, [[0, 2], [0, 0]]))
    np.testing.assert_array_equal(fed_bt == PAD_ID, wide == PAD_ID)
    np.testing.assert_array_equal(fed_bt == BOS_ID, wide == BOS_ID)


def test_the_share_is_kept_and_draws_depend_on_the_seed():
    model = make_model()
    src, tgt = tf.repeat(SRC_IDS[:1], 300, axis=0), np.full((300, 12), 12, np.int32)
    tgt[:, 0] = BOS_ID
    never = _fed(model, 0.0, inputs=tf.constant(tgt), src=src)[0]
    assert 12 not in never, "the model says what is gold: choose another seed"
    first, same, other = (_fed(model, 0.25, seed, tf.constant(tgt), src) for seed in (1, 1, 2))
    np.testing.assert_array_equal(first, same)
    assert (first != other).any()
    # Five standard deviations of 3,300 draws; the model itself may say 12 after other tokens.
    assert (first[:, 1:] == 12).mean() == pytest.approx(0.25, abs=0.12)
    assert (first[:, 1] == 12).mean() == pytest.approx(0.25, abs=0.125)


# The laws of an update


def _one_by_one(model, gold_bt):
    """Loss and gradients of a decoder that is fed token by token, its own predictions where `gold_bt` is false."""
    variables = [v.value for v in model.trainable_variables]
    with tf.GradientTape() as tape:
        memory, states = model.encode(SRC_IDS)
        states = tf.nest.map_structure(lambda part: part[:, None], states)
        last_b, loss = INPUTS[:, 0], 0.0
        for t in range(INPUTS.shape[1]):
            log_probs_bkv, states = model.decoder_step(last_b[:, None], memory, states)
            log_probs_bv, target_b = log_probs_bkv[:, 0], TGT_IDS[:, t + 1]
            gold_b = tf.gather(log_probs_bv, target_b, batch_dims=1)
            loss -= tf.reduce_sum(tf.where(mask(target_b), gold_b, 0.0))
            best_b = tf.argmax(_possible(log_probs_bv), -1, tf.int32)
            last_b = tf.where(gold_bt[:, t + 1], target_b, best_b) if t + 1 < INPUTS.shape[1] else last_b
    return float(loss), [tf.convert_to_tensor(g).numpy() for g in tape.gradient(loss, variables)]


def _possible(log_probs_bv):
    blocked = tf.one_hot([PAD_ID, BOS_ID], log_probs_bv.shape[1], on_value=1e9, off_value=0.0)
    return log_probs_bv - tf.reduce_sum(blocked, 0)


@pytest.mark.slow
@pytest.mark.parametrize("settings", KINDS)
@pytest.mark.parametrize("share", [0.0, 0.5])
def test_loss_and_gradients_are_those_of_feeding_step_by_step(eager, settings, share):
    model = make_model(**settings)
    trainer = Trainer(model, TrainConfig(precision="float32"))
    seed = tf.constant([3, 4])
    gold_bt = (tf.random.stateless_uniform(tf.shape(INPUTS), seed) < share) | ~mask(INPUTS)
    expected, gradients = _one_by_one(model, gold_bt)
    nats, _, found = trainer._gradients(SRC_IDS, TGT_IDS, (tf.constant(share), seed))
    assert float(nats) == pytest.approx(expected, rel=1e-5)
    dense = map(tf.convert_to_tensor, found)
    for variable, ours, theirs in zip(model.trainable_variables, dense, gradients, strict=True):
        close(ours, theirs, err_msg=variable.path)


@pytest.mark.slow
@pytest.mark.parametrize("settings", [KINDS[0], *(pytest.param(kind, marks=pytest.mark.long) for kind in KINDS[1:])])
def test_all_gold_by_the_slow_path_equals_the_fast_path(eager, settings):
    fast, slow = (Trainer(make_model(**settings), TrainConfig(precision="float32", shards=2)) for _ in range(2))
    for step in range(2):
        expected = fast.update(SRC_IDS, TGT_IDS)
        found = slow.update_fed(SRC_IDS, TGT_IDS, tf.constant(1.0), tf.constant([1, step]))
        close(found, expected, 2e-6)
    for a, b in zip(fast.weights, slow.weights, strict=True):
        close(a.numpy(), b.numpy(), 2e-6, err_msg=a.path)


# In training


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    """Folders of an uninterrupted run with a falling share, and of one continued in the middle; and their trainers."""
    folder = tmp_path_factory.mktemp("fed")
    config = ModelConfig(embed_dim=8, hidden_size=16, dropout=0.3)
    feeding = {"teacher_forcing": 0.25, "teacher_forcing_schedule": "linear", "teacher_forcing_decay": 10.0}

    def once(name, steps):
        (folder / name).mkdir(exist_ok=True)
        plan = replace(max_steps=steps, max_epochs=99, validate_steps=3, **feeding)
        train_model(
            RunFolder(folder / name),
            Seq2Seq(config, 9, 7),
            EpochPairs((MANY_SRC, MANY_TGT)),
            plan,
            Scripted(1.0),
            Silent(),
        )

    with eagerly():
        once("whole", 9)
        once("parts", 6)
        once("parts", 9)
    return SimpleNamespace(whole=folder / "whole", parts=folder / "parts")


@pytest.mark.slow
def test_a_continued_run_draws_the_same(runs):
    assert entries(runs.parts) == entries(runs.whole)
    parts, whole = (RunFolder(folder).load(LAST)[0] for folder in (runs.parts, runs.whole))
    for key in whole:
        np.testing.assert_array_equal(parts[key], whole[key], err_msg=key)


@pytest.mark.slow
def test_the_share_is_logged(runs):
    shares = [entry["teacher_forcing"] for entry in entries(runs.whole) if entry["kind"] == "train"]
    assert shares == pytest.approx([1, 0.9, 0.8, 0.7, 0.6, 0.5, 0.4, 0.3, 0.25])


def test_another_share_traces_nothing_again(monkeypatch):
    # What is traced again depends on the arguments alone.
    monkeypatch.setattr(Trainer, "_update", lambda self, src_ids_bs, tgt_ids_bt, feeding: (feeding[0],) * 3)
    trainer = Trainer(make_model(cell="rnn", attention="none"), TrainConfig(optimizer="sgd"))
    for step, share in enumerate((0.9, 0.5, 0.0)):
        found = trainer.update_fed(SRC_IDS, TGT_IDS[:, step:], np.float32(share), np.array([1, step], np.int32))
        assert float(found[0]) == pytest.approx(share)
    assert trainer.update_fed.experimental_get_tracing_count() == 1
