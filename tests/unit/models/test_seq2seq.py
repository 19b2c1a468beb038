import dataclasses
import functools
import gc
import itertools

import keras
import numpy as np
import pytest
import tensorflow as tf

from tests.closeness import close
from tests.runs import SOME_CELLS
from tests.unit.models.test_cells import FIRST_BIAS, randomise
from wordseq.batches.batching import mask, pad
from wordseq.config.schema import PROBABILITY_MAPS, ModelConfig
from wordseq.models.attention import ATTENTIONS
from wordseq.models.cells import CELL_TYPES
from wordseq.models.losses import token_nats
from wordseq.models.seq2seq import Seq2Seq, SourceIds
from wordseq.models.sparse import IMPOSSIBLE_NATS, fenchel_young
from wordseq.text.vocab import BOS_ID, EOS_ID, PAD_ID

SRC_SIZE, TGT_SIZE = 11, 13
SRC = [[4, 6], [8], [9, 4]]
TGT = [[4], [5, 12], [10]]
SMALL = ModelConfig(embed_dim=6, hidden_size=8, dropout=0.0, bidirectional=False)
"""The encoder reads in one direction, which is less to compute; tests of what two change say so."""
COPIED = [-1, 1, -1, 3, 7, 1, 4, 12, 5, 6, -1]
"""For each source id the target id that is copied."""
FEATURES = 3
"""Number of features, the last source ids, where a model reads them apart."""
BRIDGES = ("copy", "dense", "zero")
WIRINGS = [pair for pair in itertools.product(ATTENTIONS, BRIDGES) if pair != ("none", "zero")]
"""Attention and bridge; without either, the decoder would see nothing of the source, and the settings forbid it."""

FAST_WIRINGS = {("none", "dense"): "lstm", ("dot", "zero"): "sru", ("additive", "copy"): "gru"}
"""Every bridge, and every attention but that of `EACH_ATTENTION`; the other wirings are long."""


def _long_unless(fast: bool) -> list[pytest.MarkDecorator]:
    return [] if fast else [pytest.mark.slow, pytest.mark.long]


EAGER = pytest.mark.usefixtures("eager")
# Every cell with every attention. What is special in a kind of attention is tested fast in test_attention.py.
EACH_ATTENTION = pytest.mark.parametrize(
    ("cell", "attention"),
    [
        pytest.param(cell, attention, marks=_long_unless((cell, attention) in {("lstm", "none"), ("gru", "general")}))
        for attention in ATTENTIONS
        for cell in CELL_TYPES
    ],
)


def make_model(seed: int = 1, output_map: str = "softmax", **settings) -> Seq2Seq:
    """A small model with random weights, biases too."""
    config = dataclasses.replace(SMALL, **settings)
    source = SourceIds(FEATURES, tuple(COPIED)) if config.copy or config.features == "separate" else SourceIds()
    model = Seq2Seq(config, SRC_SIZE, TGT_SIZE, source=source, output_map=output_map, seed=seed)
    randomise(model, seed)
    return model


@functools.cache
def fixed_model(**settings) -> Seq2Seq:
    """`make_model` once for all tests; no test may change it."""
    return make_model(**settings)


def _ids(sequences, **settings) -> tf.Tensor:
    return tf.constant(pad(sequences, **settings))


def model_with(cell: str, attention: str) -> Seq2Seq:
    """A fixed model; with attention, its encoder reads in both directions."""
    return fixed_model(cell=cell, attention=attention, bidirectional=attention != "none")


@functools.cache
def _encoded(model):
    """Of the sources `SRC`, by a fixed model."""
    return model.encode(_ids(SRC))


def _loss(model, src_ids_bs, tgt_ids_bt):
    """The loss summed over real target tokens, and the logits."""
    logits_btv = model((src_ids_bs, tgt_ids_bt[:, :-1]))
    gold_bt = tgt_ids_bt[:, 1:]
    real_bt = mask(gold_bt)
    costs = token_nats if model.output_map == "softmax" else functools.partial(_plain, model.output_map)
    return tf.reduce_sum(costs(tf.boolean_mask(logits_btv, real_bt), tf.boolean_mask(gold_bt, real_bt))), logits_btv


def _plain(output_map, logits_nv, gold_n):
    return fenchel_young(output_map, logits_nv, gold_n)[0]


def _logits_and_gradients(model, src_ids_bs, tgt_ids_bt) -> tuple[tf.Tensor, dict[str, np.ndarray]]:
    with tf.GradientTape() as tape:
        loss, logits_btv = _loss(model, src_ids_bs, tgt_ids_bt)
    gradients = tape.gradient(loss, [v.value for v in model.trainable_variables])
    paths = [v.path for v in model.trainable_variables]
    return logits_btv, {path: tf.convert_to_tensor(g).numpy() for path, g in zip(paths, gradients, strict=True)}


def _gradients(model, src_ids_bs, tgt_ids_bt) -> dict[str, np.ndarray]:
    return _logits_and_gradients(model, src_ids_bs, tgt_ids_bt)[1]


# One step at a time


SPARSE = [
    pytest.param(
        {
            "cell": cell,
            "attention": attention,
            "attention_map": "softmax" if attention == "none" else ("sparsemax", "entmax15")[(n + k) % 2],
            "output_map": ("entmax15", "sparsemax", "softmax")[(n + k) % 3],
            "bidirectional": k % 2 == 0,
        },
        marks=_long_unless((cell, attention) in {("lstm", "none"), ("sru", "dot")}),
    )
    for n, attention in enumerate(ATTENTIONS)
    for k, cell in enumerate(CELL_TYPES)
]
"""Every cell with every attention, with sparse weights and outputs in turn."""

COPYING = [
    pytest.param(
        {"cell": cell, "attention": attention, "input_feeding": (n + k) % 2 == 0, "peek": k % 3 == 0}
        | {"attention_map": PROBABILITY_MAPS[(n + k) % 3], "bidirectional": k % 2 == 1},
        marks=_long_unless((cell, attention) in {("gru", "general"), ("lstm", "additive")}),
    )
    for n, attention in enumerate(sorted(set(ATTENTIONS) - {"none"}))
    for k, cell in enumerate(CELL_TYPES)
]
"""Every cell with every attention, for models that copy."""

GIVEN = [
    {"input_feeding": True, "attention": "general", "decoder_layers": 2, "bidirectional": True},
    {"input_feeding": True, "attention": "additive", "cell": "lstm", "attention_map": "sparsemax"},
    {"peek": True, "cell": "lstm", "bidirectional": True},
    {"peek": True, "attention": "none", "bridge": "zero"},
    {
        "peek": True,
        "input_feeding": True,
        "attention": "dot",
        "tie_embeddings": True,
        "embed_dim": 8,
        "encoder_layers": 2,
    },
]
"""Decoders with more inputs than the last token."""


@pytest.mark.parametrize(
    ("cell", "attention", "bridge"),
    [
        pytest.param(cell, *wiring, marks=_long_unless(FAST_WIRINGS.get(wiring) == cell))
        for wiring in WIRINGS
        for cell in CELL_TYPES
    ],
)
def test_step_by_step_logits_equal_teacher_forced_logits(cell, attention, bridge):
    # One layer and two, in turn.
    layers = 1 + (WIRINGS.index((attention, bridge)) + list(CELL_TYPES).index(cell)) % 2
    model = fixed_model(cell=cell, attention=attention, bridge=bridge, encoder_layers=layers, decoder_layers=layers)
    assert_steps_equal_one_pass(model)


@pytest.mark.parametrize("settings", GIVEN)
def test_peek_and_input_feeding_step_by_step_in_batches_and_with_hypotheses_are_as_in_one_pass(settings):
    model = fixed_model(**settings)
    assert_steps_equal_one_pass(model)
    assert_hypotheses_apart(model)
    for path, gradient in assert_batch_equals_sentences(model).items():
        # Without bridge and attention, the encoder works through the context alone.
        assert gradient.any(), path
    # Beside the last token, the decoder's first matrix reads these vectors.
    more = settings.get("peek", False) + settings.get("input_feeding", False)
    assert model.decoder.layers[0].cell.kernel.shape[0] == model.config.embed_dim + 8 * more


def assert_steps_equal_one_pass(model):
    """Step-by-step probabilities equal teacher-forced ones, and depend on the source."""
    src_ids_bs, tgt_ids_bt = _ids(SRC), _ids(TGT, bos=True)[:, :-1]
    memory, states = _encoded(model)
    if model.output_map == "softmax":
        forced_btv = tf.nn.log_softmax(model((src_ids_bs, tgt_ids_bt))).numpy()
        found_bx = np.exp(forced_btv[:, 0])
    else:
        decoded = model.decode(tgt_ids_bt, memory, states)
        forced_btv = model.log_probs(decoded, memory).numpy()
        # Sparse outputs may be equal all the same.
        found_bx = decoded.hidden_bth[:, 0].numpy()
    assert forced_btv.shape == (*tgt_ids_bt.shape, TGT_SIZE)
    states = tf.nest.map_structure(lambda part: part[:, None], states)
    for t in range(tgt_ids_bt.shape[1]):
        log_probs_bkv, states = model.decoder_step(tgt_ids_bt[:, t : t + 1], memory, states)
        real_b = mask(tgt_ids_bt[:, t]).numpy()
        close(np.exp(log_probs_bkv[:, 0].numpy()[real_b]), np.exp(forced_btv[:, t][real_b]))
    # All targets start with the same token.
    assert np.ptp(found_bx, axis=0).max() > 1e-4, "the source has no say"


@pytest.mark.parametrize(
    "cell", ["gru", *(pytest.param(cell, marks=pytest.mark.slow) for cell in CELL_TYPES if cell != "gru")]
)
def test_step_by_step_logits_of_a_residual_model_equal_teacher_forced_logits(cell):
    settings = {"encoder_layers": 2, "decoder_layers": 2}
    model, plain = (make_model(cell=cell, residual=residual, **settings) for residual in (True, False))
    src_ids_bs, tgt_ids_bt = _ids(SRC), _ids(TGT, bos=True)
    assert np.abs(model((src_ids_bs, tgt_ids_bt)) - plain((src_ids_bs, tgt_ids_bt))).max() > 1e-3
    assert_steps_equal_one_pass(model)


@pytest.mark.parametrize("settings", COPYING)
def test_copying_models_step_by_step_in_batches_and_with_hypotheses_are_as_in_one_pass(settings):
    model = fixed_model(copy=True, **settings)
    assert_steps_equal_one_pass(model)
    assert_hypotheses_apart(model)
    assert_batch_equals_sentences(model)


SEPARATE = [
    pytest.param(
        {"cell": cell, "attention": attention, "attention_map": PROBABILITY_MAPS[(n + k) % 3]}
        | {"copy": k % 2 == 0, "input_feeding": k % 3 == 1, "bidirectional": n % 2 == 0},
        marks=_long_unless((cell, attention) in {("gru", "additive"), ("lstm", "dot")}),
    )
    for n, attention in enumerate(sorted(set(ATTENTIONS) - {"none"}))
    for k, cell in enumerate(CELL_TYPES)
]
"""Every cell with every attention, for models that read features apart."""


@pytest.mark.parametrize("settings", SEPARATE)
def test_models_with_separate_features_step_by_step_in_batches_and_with_hypotheses_are_as_in_one_pass(settings):
    model = fixed_model(features="separate", **settings)
    # In `SRC` the first sentence has no feature, the second one alone has nothing else.
    assert [[i for i in ids if i >= SRC_SIZE - FEATURES] for ids in SRC] == [[], [8], [9]]
    assert_steps_equal_one_pass(model)
    assert_hypotheses_apart(model)
    assert_batch_equals_sentences(model)


@pytest.mark.parametrize("attention_map", ["softmax", "sparsemax"])
def test_separate_features_are_a_set_that_the_encoder_does_not_see(attention_map):
    model = fixed_model(features="separate", cell="lstm", encoder_layers=2, attention_map=attention_map)
    tgt_ids_bt = _ids([[4, 5]] * 4, bos=True)
    sources = _ids([[4, 5, 8, 9], [4, 5, 9, 8], [4, 5, 9, 10], [4, 5]])
    memory, states = model.encode(sources)
    # The encoder does not see them. The decoder starts from their sum, which is 0 without features.
    encoded_bsh, keys_bsh, features_bs = memory.features
    sums_bh = np.stack([np.sum(row[real], 0) for row, real in zip(encoded_bsh.numpy()[:3], features_bs, strict=False)])
    for hidden_bh, cell_bh in states:
        # Rows of a batch may be rounded apart, by the processor's vector width.
        close(cell_bh, tf.repeat(cell_bh[:1], 4, axis=0))
        close(hidden_bh[:3] - hidden_bh[3:], sums_bh)
    assert np.abs(sums_bh).min() > 0
    np.testing.assert_array_equal(memory.mask_bs, [[1, 1, 0, 0, 1]] * 3 + [[1, 1, 1, 0, 0]])
    decoded = model.decode(tgt_ids_bt, memory, states)
    log_probs_btv = model.log_probs(decoded, memory).numpy()
    close(log_probs_btv[1], log_probs_btv[0], 2e-6)
    for other in (2, 3):
        assert np.abs(log_probs_btv[other] - log_probs_btv[0]).max() > 1e-3
    np.testing.assert_array_equal(decoded.weights_bts.numpy()[:3, :, 2:4], 0)
    # To features too attention has its map: queries this large leave only a sparse one zeros.
    feature_weights_bts = model.feature_reader.attention(9 * encoded_bsh, keys_bsh, encoded_bsh, features_bs)[1]
    assert (feature_weights_bts.numpy()[0, 2:4, 2:4] == 0).any() == (attention_map == "sparsemax")
    # Without features, padding has no effect either.
    memory, states = model.encode(_ids([[4, 5]]))
    close(model.log_probs(model.decode(tgt_ids_bt[:1], memory, states), memory)[0], log_probs_btv[3], 2e-6)


def test_outside_functions_tensorflow_complains_of_nothing_unused(caplog):
    fixed_model()((_ids(SRC), _ids(TGT, bos=True)))
    gc.collect()
    assert caplog.records == []


def test_every_weight_of_a_model_with_separate_features_is_trained():
    model = make_model(features="separate", attention="additive")
    for path, gradient in _gradients(model, _ids([[4, 8, 9], [5, 10]]), _ids(TGT[:2], bos=True)).items():
        assert gradient.any(), path


def test_separate_features_need_features_and_attention():
    for settings, features in (({}, 0), ({"attention": "none"}, 2)):
        with pytest.raises(ValueError, match="'separate' needs attention, and features in the source vocabulary"):
            Seq2Seq(ModelConfig(features="separate", **settings), 9, 9, source=SourceIds(features))


@pytest.mark.parametrize("settings", SPARSE)
def test_sparse_models_step_by_step_in_batches_and_with_hypotheses_are_as_in_one_pass(settings):
    model = fixed_model(**settings)
    assert_steps_equal_one_pass(model)
    assert_hypotheses_apart(model)
    assert_batch_equals_sentences(model)


@EAGER
@pytest.mark.parametrize("output_map", PROBABILITY_MAPS)
def test_nats_are_minus_the_log_probabilities_of_the_gold_tokens(output_map):
    model = fixed_model(attention="dot", output_map=output_map)
    memory, states = _encoded(model)
    tgt_ids_bt = _ids(TGT, bos=True)
    decoded, gold_bt = model.decode(tgt_ids_bt[:, :-1], memory, states), tgt_ids_bt[:, 1:]
    log_probs_btv = model.log_probs(decoded, memory).numpy()
    close(np.exp(log_probs_btv).sum(-1), 1)
    expected_bt = np.minimum(
        -np.take_along_axis(log_probs_btv, gold_bt.numpy()[:, :, None], 2)[:, :, 0], IMPOSSIBLE_NATS
    )
    assert (output_map == "softmax") == (expected_bt < IMPOSSIBLE_NATS).all()
    close(model.nats(decoded, memory, gold_bt), np.where(mask(gold_bt), expected_bt, 0.0))
    if output_map != "softmax":
        assert (log_probs_btv[:, :, [PAD_ID, BOS_ID]] == -np.inf).all()
    losses_bt = model.token_losses(decoded, memory, gold_bt)
    np.testing.assert_array_equal(losses_bt.numpy()[~mask(gold_bt)], 0)
    loss, plain, tokens = model.training_loss(decoded, memory, gold_bt, 0.1)
    close(np.sum(losses_bt), plain)
    assert (loss != plain, int(tokens)) == (True, int(np.sum(mask(gold_bt))))


@EACH_ATTENTION
def test_hypotheses_of_a_sentence_do_not_touch_each_other(cell, attention):
    assert_hypotheses_apart(model_with(cell, attention))


def assert_hypotheses_apart(model):
    """Two hypotheses together give what each gives alone."""
    memory, states = _encoded(model)
    # The second one starts from another state.
    starts = states, tf.nest.map_structure(tf.negative, states)
    apart = [tf.nest.map_structure(lambda part: part[:, None], start) for start in starts]
    together = tf.nest.map_structure(lambda *parts: tf.concat(parts, 1), *apart)
    ids = tf.constant([[BOS_ID, 12], [4, 5], [6, 6]], tf.int32)
    log_probs_bkv, after = model.decoder_step(ids, memory, together)
    for k in range(2):
        log_probs_b1v, alone = model.decoder_step(ids[:, k : k + 1], memory, apart[k])
        close(np.exp(log_probs_bkv[:, k]), np.exp(log_probs_b1v[:, 0]))
        for a, b in zip(tf.nest.flatten(after), tf.nest.flatten(alone), strict=True):
            close(a[:, k], b[:, 0])


# Padding


@EACH_ATTENTION
def test_a_batch_gives_what_its_sentences_give_one_at_a_time(cell, attention):
    assert_batch_equals_sentences(model_with(cell, attention))


def assert_batch_equals_sentences(model):
    """Logits and gradients of a batch are those of its sentences. Returns the gradients."""
    src_ids_bs, tgt_ids_bt = _ids(SRC[:2]), _ids(TGT[:2], bos=True)
    together_btv, together = _logits_and_gradients(model, src_ids_bs, tgt_ids_bt)
    summed = {path: np.zeros_like(gradient) for path, gradient in together.items()}
    for b, (src, tgt) in enumerate(zip(SRC[:2], TGT[:2], strict=True)):
        alone_btv, alone = _logits_and_gradients(model, _ids([src]), _ids([tgt], bos=True))
        close(together_btv[b, : len(tgt) + 1], alone_btv[0])
        for path, gradient in alone.items():
            summed[path] += gradient
    for path, gradient in together.items():
        close(gradient, summed[path], err_msg=path)
    return together


@EACH_ATTENTION
def test_padding_gets_no_gradient_not_even_where_a_source_is_nothing_else(cell, attention):
    model = model_with(cell, attention)
    # A column of padding more than the longest sentence needs. The last source is padding only.
    src_ids_bs, tgt_ids_bt = tf.pad(_ids(SRC[:2]), [[0, 1], [0, 1]]), tf.pad(_ids(TGT, bos=True), [[0, 0], [0, 1]])
    logits_btv, gradients = _logits_and_gradients(model, src_ids_bs, tgt_ids_bt)
    for name, value in {"logits": logits_btv, **gradients}.items():
        assert np.isfinite(value).all(), name
    # The last token of a target, its end, is never an input.
    for side, used in (("src", {EOS_ID, *itertools.chain(*SRC[:2])}), ("tgt", {BOS_ID, *itertools.chain(*TGT)})):
        (gradient,) = (value for path, value in gradients.items() if f"{side}_embed" in path)
        np.testing.assert_array_equal(gradient[PAD_ID], 0)
        assert {i for i, row in enumerate(gradient) if row.any()} == used


@pytest.mark.parametrize("attention", sorted(set(ATTENTIONS) - {"none"}))
def test_attention_weights_are_zero_at_padding(attention):
    model = fixed_model(attention=attention)
    memory, states = _encoded(model)
    weights_bts = model.decode(_ids(TGT, bos=True), memory, states).weights_bts
    close(np.sum(weights_bts, -1), 1, 2e-6)
    for weights_ts, src in zip(weights_bts.numpy(), SRC, strict=True):
        assert (weights_ts[:, : len(src) + 1] > 0).all()
        np.testing.assert_array_equal(weights_ts[:, len(src) + 1 :], 0)


def test_no_attention_gives_no_weights():
    model = model_with("lstm", "none")
    memory, states = _encoded(model)
    assert model.decode(_ids(TGT, bos=True), memory, states).weights_bts is None


def test_the_decoder_does_not_see_later_tokens():
    model = fixed_model(decoder_layers=2)
    first, second = ([[4, 5, tail, tail]] for tail in (7, 9))
    a, b = (model((_ids(SRC[:1]), _ids(ids, bos=True))).numpy() for ids in (first, second))
    np.testing.assert_array_equal(a[:, :3], b[:, :3])
    assert np.abs(a - b)[:, 3].max() > 1e-3


# First weights


def _start(seed: int = 1, **settings) -> Seq2Seq:
    return Seq2Seq(dataclasses.replace(SMALL, **settings), SRC_SIZE, TGT_SIZE, seed=seed)


@pytest.mark.parametrize(("cell", "attention"), [("gru", "general"), ("lstm", "additive")])
def test_first_weights_depend_on_the_seed(cell, attention):
    settings = {"cell": cell, "attention": attention, "decoder_layers": 2, "bridge": "dense", "bidirectional": True}
    first, same, other = (_start(seed, **settings) for seed in (1, 1, 2))
    for a, b, c in zip(first.variables, same.variables, other.variables, strict=True):
        np.testing.assert_array_equal(a.numpy(), b.numpy(), err_msg=a.path)
        if not any(part in a.path for part in ("bias", "seed", "offset")):
            assert np.abs(a.numpy() - c.numpy()).max() > 1e-3, a.path


@pytest.mark.parametrize("bidirectional", [False, True])
def test_no_two_matrices_start_alike(bidirectional):
    layers = {"encoder_layers": 2, "decoder_layers": 2, "bidirectional": bidirectional}
    model = _start(cell="lstm", embed_dim=8, bridge="dense", attention="additive", **layers)
    matrices = [v.numpy() for v in model.trainable_variables if len(v.shape) == 2]
    assert len(matrices) > 15
    for a, b in itertools.combinations(matrices, 2):
        if a.shape == b.shape:
            assert np.abs(a - b).max() > 1e-3


@pytest.mark.parametrize("cell", SOME_CELLS)
def test_recurrent_kernels_start_orthogonal_and_forget_gates_open(cell):
    model = _start(cell=cell, encoder_layers=2, decoder_layers=2, bidirectional=True)
    kernels = [v.numpy() for v in model.trainable_variables if v.name == "recurrent_kernel"]
    assert len(kernels) == (2 * 2 + 2 if CELL_TYPES[cell].recurrent else 0)
    for kernel in kernels:
        close(kernel @ kernel.T, np.eye(len(kernel)))
    for variable in model.trainable_variables:
        if variable.name == "bias":
            expected = np.zeros(variable.shape)
            if cell in FIRST_BIAS and ("encoder" in variable.path or "decoder" in variable.path):
                expected = np.repeat(FIRST_BIAS[cell], variable.shape[-1] // len(FIRST_BIAS[cell]))
            np.testing.assert_array_equal(variable.numpy(), expected, err_msg=variable.path)


def test_number_of_parameters():
    # By hand: a GRU of h units on i inputs has 3 h (i + h + 2); e = 6, h = 8, 4 each way.
    config = {"cell": "gru", "attention": "general", "bidirectional": True}
    embeddings = 6 * (SRC_SIZE + TGT_SIZE)
    encoder, decoder = 2 * 3 * 4 * (6 + 4 + 2), 3 * 8 * (6 + 8 + 2)
    attention = 8 * 8 + (16 * 8 + 8)
    output = 8 * TGT_SIZE + TGT_SIZE
    assert _start(**config).count_params() == embeddings + encoder + decoder + attention + output


def test_tied_embeddings_share_one_matrix():
    tied, apart = (_start(embed_dim=8, tie_embeddings=tie) for tie in (True, False))
    assert apart.count_params() - tied.count_params() == 8 * TGT_SIZE
    hidden_nh = tf.constant(np.random.default_rng(0).normal(size=(2, 8)), tf.float32)
    matrix = tied.tgt_embed.embeddings.numpy()
    close(tied.logits(hidden_nh), hidden_nh.numpy() @ matrix.T)
    # Steps and gradients go through the same matrix.
    ids = _ids(SRC), _ids(TGT, bos=True)
    (gradient,) = (g for path, g in _gradients(tied, *ids).items() if "tgt_embed" in path)
    assert gradient.any(axis=1).all(), "every row is an output vector too"
    memory, states = tied.encode(ids[0])
    states = tf.nest.map_structure(lambda part: part[:, None], states)
    log_probs_bkv, _ = tied.decoder_step(ids[1][:, :1], memory, states)
    close(log_probs_bkv[:, 0], tf.nn.log_softmax(tied(ids)[:, 0]))


def test_a_tied_embedding_starts_as_an_output_matrix_whatever_the_scale_of_embeddings():
    """With entries of size 1 the first logits would be far too confident."""
    one, other = (_start(embed_dim=8, tie_embeddings=True, embed_scale=scale) for scale in (1.0, 5.0))
    start = one.tgt_embed.embeddings.numpy()
    np.testing.assert_array_equal(start, other.tgt_embed.embeddings.numpy())
    assert start.std() == pytest.approx(8**-0.5, rel=0.3)
    close(other.src_embed.embeddings, 5 * one.src_embed.embeddings.numpy())


@pytest.mark.parametrize(
    ("features", "settings", "tie"),
    [(0, {"input_feeding": True}, False), (FEATURES, {"features": "separate", "copy": True}, True)],
    ids=str,
)
def test_a_shared_matrix_is_each_embedding_and_has_the_sum_of_their_gradients(features, settings, tie):
    """Against a model with a matrix for each use, all of the same numbers."""
    # Copying: every token gives itself, features nothing.
    source = SourceIds(features, (-1, 1, -1, *range(3, TGT_SIZE), *[-1] * features))
    config = dataclasses.replace(SMALL, embed_dim=8, **settings)
    both = {"share_embeddings": True, "tie_embeddings": tie}
    shared, apart = (
        Seq2Seq(dataclasses.replace(config, **some), TGT_SIZE + features, TGT_SIZE, source=source)
        for some in (both, {})
    )
    randomise(shared, 1)
    values = {weight.path.partition("/")[2]: weight.numpy() for weight in shared.weights}
    matrix_ve = values["embed/embeddings"]
    assert len(matrix_ve) == TGT_SIZE + features
    values |= {"src_embed/embeddings": matrix_ve, "tgt_embed/embeddings": matrix_ve[:TGT_SIZE]}
    if tie:
        values["output/kernel"] = matrix_ve[:TGT_SIZE].T
    for weight in apart.weights:
        weight.assign(values[weight.path.partition("/")[2]])
    # The last source has features, if there are some.
    sources = [[4, 12], [7], [5, 9, *range(TGT_SIZE, TGT_SIZE + features)]]
    ids = _ids(sources), _ids(TGT, bos=True)
    (logits_btv, found), (their_logits_btv, theirs) = (_logits_and_gradients(model, *ids) for model in (shared, apart))
    close(logits_btv, their_logits_btv)
    found, theirs = ({path.partition("/")[2]: g for path, g in each.items()} for each in (found, theirs))
    expected = theirs.pop("src_embed/embeddings").copy()
    expected[:TGT_SIZE] += theirs.pop("tgt_embed/embeddings")
    if tie:
        expected[:TGT_SIZE] += theirs.pop("output/kernel").T
    close(found.pop("embed/embeddings"), expected)
    assert found.keys() == theirs.keys()
    for path, gradient in theirs.items():
        close(found[path], gradient, err_msg=path)
    close(shared.output_weights()[0], apart.output_weights()[0])


def test_shared_embeddings_need_one_vocabulary():
    config = dataclasses.replace(SMALL, share_embeddings=True)
    for features in (0, 3):
        expected = f"one vocabulary for source and target, got 11 and 13 ids, {features} of them"
        with pytest.raises(ValueError, match=expected):
            Seq2Seq(config, SRC_SIZE, TGT_SIZE, source=SourceIds(features))


def test_a_shared_matrix_with_frozen_rows_is_one_frozen_weight():
    model = Seq2Seq(dataclasses.replace(SMALL, share_embeddings=True), TGT_SIZE, TGT_SIZE)
    model.set_vectors("tgt", np.array([5]), np.ones((1, 6), np.float32), freeze=True)
    assert [weight.path for weight in model.frozen_weights] == ["seq2seq/embed/embeddings"]
    gradient = _gradients(model, _ids([[5, 6]]), _ids([[5, 6]], bos=True))["seq2seq/embed/embeddings"]
    assert gradient.any(1).tolist() == [index in (BOS_ID, EOS_ID, 6) for index in range(TGT_SIZE)]


def test_peek_shows_the_last_output_of_the_top_layer():
    memory, _ = make_model(cell="rnn", peek=True, encoder_layers=2).encode(_ids(SRC))
    # At EOS, which is the last real position of each source.
    close(memory.context[0], [outputs_sh[len(ids)] for outputs_sh, ids in zip(memory.memory_bsh, SRC, strict=True)])


# Shapes of models


@pytest.mark.parametrize(
    ("cell", "encoder_layers", "decoder_layers", "bridge"),
    [("gru", 1, 2, "copy"), ("lstm", 1, 2, "dense"), ("lstm", 2, 1, "copy"), ("gru", 2, 1, "zero")],
)
def test_encoder_and_decoder_of_different_depth(cell, encoder_layers, decoder_layers, bridge):
    model = make_model(cell=cell, encoder_layers=encoder_layers, decoder_layers=decoder_layers, bridge=bridge)
    src_ids_bs = _ids(SRC)
    memory, first = model.encode(src_ids_bs)
    assert len(first) == decoder_layers
    _, last = model.encoder(model.src_embed(src_ids_bs), mask(src_ids_bs))
    # The decoder's only layer starts from the encoder's top, as does every layer above the encoder's only one.
    top = last[-1]
    for k, state in enumerate(first):
        for n, (part, encoded) in enumerate(zip(state, top, strict=True)):
            expected = encoded.numpy()
            if bridge == "zero":
                expected = np.zeros_like(expected)
            if bridge == "dense":
                kernel, bias = (v.numpy() for v in model.bridge.trainable_variables[2 * (k * len(top) + n) :][:2])
                expected = np.tanh(expected @ kernel + bias)
            close(part, expected, 2e-6)
    assert np.isfinite(model.decode(_ids(TGT, bos=True), memory, first).hidden_bth).all()


@pytest.mark.parametrize(
    ("attention", "bridge"), [pytest.param(*wiring, marks=_long_unless(wiring in FAST_WIRINGS)) for wiring in WIRINGS]
)
def test_every_weight_is_trained(attention, bridge):
    deeper = ("encoder_layers", "decoder_layers")[WIRINGS.index((attention, bridge)) % 2]
    model = make_model(cell="lstm", attention=attention, bridge=bridge, **{deeper: 2})
    for path, gradient in _gradients(model, _ids(SRC[:1]), _ids(TGT[:1], bos=True)).items():
        assert gradient.any(), path


def test_input_feeding_compiled_equals_eager():
    model = fixed_model(cell="rnn", input_feeding=True, attention="dot")
    memory, states = _encoded(model)
    weights = [weight.value for layer in (model.decoder, model.combine) for weight in layer.trainable_variables]

    def outputs_and_gradients(tgt_ids_bt):
        with tf.GradientTape() as tape:
            hidden_bth = model.decode(tgt_ids_bt, memory, states).hidden_bth
            total = tf.reduce_sum(hidden_bth**2)
        return hidden_bth, *tape.gradient(total, weights)

    ids, compiled = _ids(TGT, bos=True), tf.function(outputs_and_gradients, autograph=False)
    for got, expected in zip(compiled(ids), outputs_and_gradients(ids), strict=True):
        close(got, expected)


def test_one_direction_does_not_see_later_tokens_and_both_do():
    a, b = _ids([[4, 5, 6]]), _ids([[4, 5, 7]])
    for bidirectional, seen in ((False, False), (True, True)):
        model = make_model(bidirectional=bidirectional)
        first, second = (model.encode(ids)[0].memory_bsh.numpy()[:, :2] for ids in (a, b))
        assert (np.abs(first - second).max() > 1e-4) == seen


# Dropout


@EAGER
def test_with_input_feeding_the_attended_vector_is_dropped():
    model = make_model(input_feeding=True, dropout=0.5)
    memory, states = model.encode(_ids(SRC), training=True)
    hidden_bth = model.decode(_ids(TGT, bos=True), memory, states, training=True).hidden_bth
    assert 0.3 < np.mean(hidden_bth.numpy() == 0) < 0.7


@EAGER
def test_dropout_with_input_feeding_is_for_training_only():
    settings = {"input_feeding": True, "decoder_layers": 2}
    model, plain = make_model(dropout=0.5, recurrent_dropout=0.5, **settings), make_model(**settings)
    ids = _ids(SRC), _ids(TGT, bos=True)
    np.testing.assert_array_equal(model(ids), plain(ids))
    first, second = (model(ids, training=True).numpy() for _ in range(2))
    assert np.abs(first - second).max() > 1e-2, "the draw never changes"
    close(plain(ids, training=True), plain(ids))


@EAGER
def test_dropout_is_for_training_only():
    model, plain = make_model(dropout=0.5), fixed_model()
    ids = _ids(SRC), _ids(TGT, bos=True)
    np.testing.assert_array_equal(model(ids), model(ids))
    np.testing.assert_array_equal(model(ids), plain(ids))
    first, second = (model(ids, training=True).numpy() for _ in range(2))
    for other in (first, second):
        assert np.abs(other - plain(ids).numpy()).max() > 1e-2
    assert np.abs(first - second).max() > 1e-2, "the draw never changes"
    close(plain(ids, training=True), plain(ids))


@EAGER
def test_embeddings_context_and_outputs_have_dropout_rates_of_their_own():
    ids = _ids(SRC), _ids(TGT, bos=True)
    plain = fixed_model()
    memory, states = plain.encode(ids[0])
    vectors, outputs = plain.src_embed(ids[0]), plain.decode(ids[1], memory, states).hidden_bth
    for place, undropped in {"embed": vectors, "context": memory.memory_bsh, "output": outputs}.items():
        model = make_model(**{f"{place}_dropout": 0.5})
        found = model.encode(ids[0], training=True)[0]
        dropped = {
            "embed": model.drop_src(vectors, training=True),
            "context": found.memory_bsh,
            "output": model.decode(ids[1], memory, states, training=True).hidden_bth,
        }
        kept = dropped[place].numpy() != 0
        assert 0.3 < kept.mean() < 0.7
        close(dropped[place].numpy()[kept], 2 * undropped.numpy()[kept], err_msg=place)
        np.testing.assert_array_equal(model(ids), plain(ids))
        # Attention scores what it reads.
        close(found.keys_bsh, model.attention.keys(found.memory_bsh))


def test_a_dropout_rate_of_zero_is_for_its_place_alone():
    for place, rates in {"embed": (0.0, 0.0, 0.5), "output": (0.5, 0.5, 0.0)}.items():
        model = _start(dropout=0.5, **{f"{place}_dropout": 0.0})
        assert (model.drop_src.units.rate, model.drop_tgt.units.rate, model.drop_out.rate) == rates


@EAGER
def test_dropout_rates_that_are_not_set_are_that_of_the_model():
    ids = _ids(SRC), _ids(TGT, bos=True)
    given = {"embed_dropout": 0.5, "context_dropout": 0.0, "output_dropout": 0.5}
    one, other = (_start(dropout=0.5, decoder_layers=2, **settings)(ids, training=True) for settings in ({}, given))
    np.testing.assert_array_equal(one, other)


@EAGER
def test_recurrent_dropout_is_for_training_only():
    model, plain = make_model(recurrent_dropout=0.5), fixed_model()
    ids = _ids(SRC), _ids(TGT, bos=True)
    np.testing.assert_array_equal(model(ids), plain(ids))
    assert np.abs(model(ids, training=True).numpy() - plain(ids).numpy()).max() > 1e-2


@EAGER
def test_dropout_depends_on_the_seed():
    ids = _ids(SRC), _ids(TGT, bos=True)
    settings = {"dropout": 0.5, "recurrent_dropout": 0.5}
    first, same = (_start(1, **settings)(ids, training=True).numpy() for _ in range(2))
    np.testing.assert_array_equal(first, same)


# Precision, Keras


def test_bfloat16_logits_are_close_and_float32():
    config = dataclasses.replace(SMALL, attention="additive", bidirectional=True)
    exact, rounded = (Seq2Seq(config, SRC_SIZE, TGT_SIZE, precision=p) for p in ("float32", "bfloat16"))
    a, b = (model((_ids(SRC), _ids(TGT, bos=True))).numpy() for model in (exact, rounded))
    assert b.dtype == np.float32
    assert all(v.dtype == "float32" for v in rounded.trainable_variables)
    for model, name in ((exact, "float32"), (rounded, "bfloat16")):
        cells = [half.cell for both in model.encoder.layers for half in (both.ahead, both.back)]
        cells += [layer.cell for layer in model.decoder.layers]
        assert {part.precision for part in (model, model.attention, model.combine, *cells)} == {name}
    assert 1e-6 < np.abs(a - b).max() < 0.05


@pytest.mark.parametrize(
    "settings",
    [{"attention": "none"}, {"attention": "general", "input_feeding": True}],
)
@pytest.mark.slow
def test_compile_and_fit_overfit_a_batch(settings):
    model = _start(cell="lstm", embed_dim=8, **settings)
    src_ids_bs, tgt_ids_bt = pad(SRC), pad(TGT, bos=True)
    model.compile(
        optimizer=keras.optimizers.Adam(0.1),
        loss=keras.losses.SparseCategoricalCrossentropy(from_logits=True, ignore_class=PAD_ID),
    )
    inputs, gold_bt = (src_ids_bs, tgt_ids_bt[:, :-1]), tgt_ids_bt[:, 1:]
    losses = model.fit(inputs, gold_bt, epochs=20, batch_size=len(SRC), verbose=0).history["loss"]
    assert losses[0] == pytest.approx(np.log(TGT_SIZE), rel=0.1)
    assert losses[-1] < 0.1
    # It gives the targets back token by token.
    memory, states = model.encode(tf.constant(src_ids_bs))
    states = tf.nest.map_structure(lambda part: part[:, None], states)
    last_b1 = np.full((len(SRC), 1), BOS_ID, np.int32)
    for t in range(gold_bt.shape[1]):
        log_probs_bkv, states = model.decoder_step(tf.constant(last_b1), memory, states)
        last_b1 = log_probs_bkv.numpy().argmax(-1).astype(np.int32)
        real_b = gold_bt[:, t] != PAD_ID
        np.testing.assert_array_equal(last_b1[real_b, 0], gold_bt[real_b, t])


@pytest.mark.parametrize("key", ["cell", "attention"])
def test_unknown_kind_is_an_error_that_lists_the_names(key):
    with pytest.raises(ValueError, match=f"unknown {key} 'nonsense'; choose from .*, "):
        _start(**{key: "nonsense"})
