import dataclasses

import numpy as np
import pytest
import tensorflow as tf

from tests.closeness import close
from tests.eager import eagerly
from tests.unit.models.test_cells import randomise
from tests.unit.models.test_seq2seq import (
    SRC,
    SRC_SIZE,
    TGT_SIZE,
    _gradients,
    _ids,
    assert_batch_equals_sentences,
    assert_hypotheses_apart,
    assert_steps_equal_one_pass,
)
from tests.unit.training.test_loop import TEXTS, WORDS, Scripted, Silent
from wordseq.batches.epochs import EpochPairs
from wordseq.batches.id_store import IdStore
from wordseq.config.schema import CELLS, KIND_SETTINGS, Config, DecodeConfig, ModelConfig, TrainConfig
from wordseq.decoding.translator import Translator
from wordseq.models.build import KINDS, make_model
from wordseq.models.seq2seq import Seq2Seq
from wordseq.runs.folder import RunFolder
from wordseq.text.vocab import EOS_ID
from wordseq.training.loop import train_model

ONE_PASS = sorted(KIND_SETTINGS)
LONG = [[4, 5, 6, 7], [8, 9, 4], [9, 4, 5]]
"""Sources that are no shorter than the targets of `test_model`."""


def config_of(kind: str, **settings) -> ModelConfig:
    return ModelConfig(
        **{"kind": kind, "embed_dim": 6, "hidden_size": 8, "dropout": 0.0, **KIND_SETTINGS[kind], **settings}
    )


def made(kind: str, seed: int = 1, **settings) -> Seq2Seq:
    model = make_model(config_of(kind, **settings), SRC_SIZE, TGT_SIZE, seed=seed)
    randomise(model, seed)
    return model


def test_kinds_are_those_of_the_settings():
    (field,) = (field for field in dataclasses.fields(ModelConfig) if field.name == "kind")
    assert set(KINDS) == set(field.metadata["choices"]) == {"encoder_decoder", *KIND_SETTINGS}


def test_an_unknown_kind_lists_the_names():
    with pytest.raises(
        ValueError, match="unknown kind 'nonsense'; choose from encoder_decoder, repeat_vector, same_length"
    ):
        make_model(dataclasses.replace(ModelConfig(), kind="nonsense"), 5, 5)
    with pytest.raises(ValueError, match="no encoder-decoder: kind 'same_length'"):
        Seq2Seq(config_of("same_length"), 5, 5)


@pytest.mark.parametrize(
    ("kind", "cell"),
    [
        pytest.param(kind, cell, marks=[pytest.mark.slow] * (cell != fast))
        for kind, fast in (("repeat_vector", "gru"), ("same_length", "lstm"))
        for cell in CELLS
    ],
)
def test_step_by_step_logits_equal_those_of_one_pass(kind, cell):
    model = made(kind, cell=cell, encoder_layers=2)
    assert_steps_equal_one_pass(model)
    assert_hypotheses_apart(model)


@pytest.mark.parametrize("kind", ONE_PASS)
def test_padding_changes_nothing(kind):
    assert_batch_equals_sentences(made(kind))


@pytest.mark.parametrize("kind", ONE_PASS)
def test_the_tokens_of_the_target_have_no_effect(kind):
    model = made(kind)
    first, second = (_ids(targets, bos=True) for targets in ([[4, 5], [6, 7], [8, 9]], [[9, 8], [4, 4], [6, 12]]))
    np.testing.assert_array_equal(model((_ids(SRC), first)), model((_ids(SRC), second)))
    assert not any("tgt_embed" in variable.path for variable in model.variables)


@pytest.mark.parametrize("kind", ONE_PASS)
def test_every_weight_is_trained(kind):
    for path, gradient in _gradients(made(kind, cell="lstm"), _ids(LONG[:1]), _ids([[4, 5, 6]], bos=True)).items():
        assert gradient.any(), path


def test_the_repeated_vector_is_all_the_decoder_needs():
    model = made("repeat_vector", bridge="zero")
    memory, states = model.encode(_ids(SRC))
    # Whatever else of the source is changed, the outputs stay.
    other = memory._replace(memory_bsh=tf.zeros_like(memory.memory_bsh), keys_bsh=tf.zeros_like(memory.keys_bsh))
    ids = _ids([[4, 5]] * 3, bos=True)
    hidden_bth = model.decode(ids, memory, states).hidden_bth
    np.testing.assert_array_equal(hidden_bth, model.decode(ids, other, states).hidden_bth)
    assert hidden_bth.shape == (3, 4, 8)


def test_same_length_reads_each_output_at_its_position():
    model = made("same_length", bidirectional=False)
    first, second = (_ids([[4, 5, tail]]) for tail in (6, 7))
    ids = _ids([[4, 4, 4]], bos=True)[:, :-1]
    a, b = (model((src, ids)).numpy() for src in (first, second))
    np.testing.assert_array_equal(a[:, :2], b[:, :2])
    assert (np.abs(a - b)[:, 2:].max(-1) > 1e-4).all()
    # It has a source embedding, a stack and an output, no more: a GRU of h units on i inputs has 3 h (i + h + 2).
    assert model.count_params() == 6 * SRC_SIZE + 3 * 8 * (6 + 8 + 2) + 9 * TGT_SIZE


def test_a_target_longer_than_its_source_costs_the_same_in_any_batch():
    model = made("same_length")
    ids = _ids([[4, 5, 6, 7, 8, 9]], bos=True)
    alone, padded = (model((tf.pad(_ids([[4, 5]]), [[0, 0], [0, more]]), ids)).numpy() for more in (0, 9))
    close(alone, padded, 2e-6)


@pytest.mark.slow
@pytest.mark.long
@pytest.mark.parametrize(
    ("kind", "targets"),
    [
        ("repeat_vector", ["w x", "x y z w", "z", "y w x", "w w z y x"]),
        ("same_length", ["w x", "x y", "z w x y", "z", "w w z y x"]),
    ],
)
def test_one_batch_can_be_overfitted_and_is_decoded(tmp_path, kind, targets):
    config = config_of(kind, embed_dim=16, hidden_size=32)
    model = make_model(config, 8, 8)
    src, tgt = (
        IdStore.of([codec.to_ids(text) for text in texts]) for codec, texts in zip(WORDS, (TEXTS, targets), strict=True)
    )
    plan = TrainConfig(max_epochs=200, learning_rate=0.02, patience=0, log_steps=200, schedule="constant")
    train_model(
        RunFolder(tmp_path),
        model,
        EpochPairs((src, tgt)),
        dataclasses.replace(plan, validate_steps=200),
        Scripted(),
        Silent(),
    )
    translator = Translator(model, *WORDS, Config(model=config), 1.0)
    assert translator(TEXTS) == targets
    nats = translator.scorer.nats(src, tgt)
    for beam in (1, 3):
        found = translator.translate(TEXTS, DecodeConfig(beam_size=beam, length_penalty=0))
        assert [hypotheses[0].text for hypotheses in found] == targets
        close([-hypotheses[0].score for hypotheses in found], nats)


def test_same_length_never_gives_more_than_it_reads():
    model = make_model(config_of("same_length"), 8, 8)
    bias_v = model.output_layer.bias.numpy()
    bias_v[EOS_ID] = -50.0  # It would rather not end.
    model.output_layer.bias.assign(bias_v)
    translator = Translator(model, *WORDS, Config(model=model.config), 1.0)
    with eagerly():
        found = translator.translate(TEXTS)
    assert [hypotheses[0].tokens for hypotheses in found] == [len(text.split()) for text in TEXTS]
