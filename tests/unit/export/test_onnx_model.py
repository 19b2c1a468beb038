"""The ONNX graphs compute what the model computes."""

import dataclasses

import numpy as np
import onnxruntime
import pytest
import tensorflow as tf

from tests.closeness import close
from wordseq.config.schema import CELLS, ModelConfig
from wordseq.export.onnx_model import OnnxNetwork, build_decoder, build_encoder
from wordseq.models.build import make_model
from wordseq.models.seq2seq import SourceIds
from wordseq.runs.weights import arrays_of, by_path
from wordseq.text.vocab import BOS_ID, EOS_ID, NOT_COPIED, PAD_ID

SRC_SIZE, TGT_SIZE, FEATURES = 12, 11, 3
COPIED = (NOT_COPIED, 1, NOT_COPIED, 3, 4, 5, 4, 7, NOT_COPIED, -1, -1, -1)
SRC = np.array([[4, 5, 8, 9, 10, EOS_ID], [6, 11, EOS_ID, 0, 0, 0], [7, 8, 5, 4, EOS_ID, 0]], np.int32)
PLAIN = ModelConfig(embed_dim=6, hidden_size=4, embed_scale=1, dropout=0.0)


def session(model, *, improved: bool = False) -> onnxruntime.InferenceSession:
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    if not improved:
        # A tiny graph costs less to run than to improve.
        options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    return onnxruntime.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])


def run(session: onnxruntime.InferenceSession, **given):
    names = [output.name for output in session.get_outputs()]
    fed = {each.name: given[each.name] for each in session.get_inputs()}
    return dict(zip(names, session.run(None, fed), strict=True))


def random_network(output_map: str = "softmax", size: int = TGT_SIZE, seed: int = 1, **settings):
    """A model with random weights, and what its graphs are made of."""
    config = dataclasses.replace(PLAIN, **settings)
    separate = config.features == "separate"
    src_size = size + FEATURES if config.share_embeddings else SRC_SIZE
    copied = COPIED if config.copy else ()
    model = make_model(
        config, src_size, size, source=SourceIds(FEATURES * separate, copied), output_map=output_map, seed=seed
    )
    rng = np.random.default_rng(seed)
    for weight in model.weights:
        weight.assign(rng.normal(size=weight.shape, scale=0.7))
    arrays = arrays_of(by_path(model.weights))
    network = OnnxNetwork(config, output_map, arrays, src_size, size, FEATURES * separate, copied)
    return model, network


def check(output_map: str = "softmax", size: int = TGT_SIZE, seed: int = 1, **settings) -> None:
    """Two steps of two hypotheses, from memory and states of the encoder, equal those of the model."""
    model, network = random_network(output_map, size, seed, **settings)
    encoder = build_encoder(network)
    decoder = session(build_decoder(network, encoder))
    found = run(session(encoder), src_ids=SRC)
    memory, states = model.encode(tf.constant(SRC))
    states = tf.nest.map_structure(lambda part: tf.repeat(part[:, None], 2, axis=1), states)
    given = {name: np.repeat(value, 2, axis=1) if name.startswith("state_") else value for name, value in found.items()}
    count = np.array([size], np.int64)
    for last in ([[BOS_ID, BOS_ID]] * 3, [[4, 5], [3, 7], [8, 1]]):
        last_ids = np.array(last, np.int32)
        log_probs, states = model.decoder_step(tf.constant(last_ids), memory, states)
        expected = log_probs.numpy()
        expected[:, :, [PAD_ID, BOS_ID]] = -np.inf
        step = run(decoder, last_ids=last_ids, count=count, **given)
        log_probs = np.take_along_axis(np.zeros_like(expected), step["ids"], 2)
        np.put_along_axis(log_probs, step["ids"], step["log_probs"], 2)
        assert (np.isinf(log_probs) == np.isinf(expected)).all()
        assert np.isfinite(expected).sum() > last_ids.size  # More than one token in some place.
        close(np.nan_to_num(log_probs, neginf=0), np.nan_to_num(expected, neginf=0), 1e-4)
        assert (np.diff(np.nan_to_num(step["log_probs"], neginf=-1e9)) <= 0).all()
        assert (step["end_log_probs"] == log_probs[:, :, EOS_ID]).all()
        for k, part in enumerate(tf.nest.flatten(states)):
            close(step[f"next_state_{k}"], part, 1e-5)
        given |= {name.removeprefix("next_"): value for name, value in step.items() if name.startswith("next_")}


@pytest.mark.parametrize("cell", CELLS)
def test_every_cell(cell):
    check(cell=cell, attention="dot", bidirectional=False, encoder_layers=2, decoder_layers=2, residual=True)


@pytest.mark.parametrize(
    "settings",
    [
        {"attention": "general", "cell": "lstm"},
        {"attention": "additive", "attention_map": "sparsemax", "bridge": "dense", "decoder_layers": 2},
        {"attention": "general", "attention_map": "entmax15", "bridge": "zero", "input_feeding": True, "cell": "rnn"},
        {"attention": "none", "peek": True, "output_map": "sparsemax", "encoder_layers": 3},
        {"attention": "dot", "output_map": "entmax15", "size": 300},
        {"attention": "dot", "copy": True, "features": "separate", "cell": "lstm"},
        {"attention": "additive", "features": "separate", "cell": "sru"},
        {"attention": "general", "features": "separate", "peek": True, "input_feeding": True},
        {
            "attention": "general",
            "tie_embeddings": True,
            "share_embeddings": True,
            "embed_dim": 4,
            "features": "separate",
        },
        {"attention": "dot", "tie_embeddings": True, "embed_dim": 4, "cell": "sru", "bidirectional": False},
        {"kind": "repeat_vector", "attention": "none"},
        {"kind": "same_length", "attention": "none", "cell": "ln_gru"},
    ],
    ids=lambda settings: "-".join(str(value) for value in settings.values()),
)
def test_every_setting_that_changes_the_graph(settings):
    check(**settings)


@pytest.mark.parametrize(
    "settings",
    [
        {"attention": "general", "tie_embeddings": True, "embed_dim": 8},
        {"attention": "additive", "cell": "lstm", "peek": True},
        {"attention": "none", "cell": "sru", "bidirectional": False},
    ],
    ids=lambda settings: "-".join(str(value) for value in settings.values()),
)
def test_eight_bits_change_log_probabilities_little_and_a_sentence_alone_not_more(settings):
    _, network = random_network(hidden_size=8, **settings)
    found = []
    for int8, rows in ((False, [0, 1, 2]), (True, [0, 1, 2]), (True, [1])):
        encoder = build_encoder(network, int8=int8)
        # As programs run it: onnxruntime fuses operators of integers.
        given = run(session(encoder, improved=int8), src_ids=SRC[rows])
        count = np.array([TGT_SIZE], np.int64)
        last_ids = np.full((len(rows), 1), BOS_ID, np.int32)
        decoder = session(build_decoder(network, encoder, int8=int8), improved=int8)
        step = run(decoder, last_ids=last_ids, count=count, **given)
        order = step["ids"].argsort(-1)
        found.append(np.take_along_axis(step["log_probs"], order, 2)[:, 0, 3:])
    plain, together, alone = found
    close(together, plain, 0.05)
    assert np.abs(together - plain).max() > 1e-4
    close(alone[0], together[1], 1e-5)
