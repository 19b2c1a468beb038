import functools
import inspect
import itertools

import keras
import numpy as np
import pytest
import tensorflow as tf

from tests.closeness import close
from wordseq.vectors import AttentionSeq2Seq, Seq2Seq, SimpleSeq2Seq
from wordseq.vectors.layers import AttentionDecoder, FeedbackDecoder, LSTMStack, RealPositions

MODELS = [SimpleSeq2Seq, Seq2Seq, AttentionSeq2Seq]
BATCH, SOURCE, TARGET, INPUT, HIDDEN, OUTPUT = 3, 3, 3, 2, 3, 4
SIZES = {"input_dim": INPUT, "hidden_dim": HIDDEN, "output_length": TARGET, "output_dim": OUTPUT}
EXAMPLES = [
    (SimpleSeq2Seq, {"input_dim": 5, "hidden_dim": 10, "output_length": 8, "output_dim": 8}, (None, 8, 8), (1, 1)),
    (
        SimpleSeq2Seq,
        {"input_dim": 5, "hidden_dim": 10, "output_length": 8, "output_dim": 20, "depth": (4, 5)},
        (None, 8, 20),
        (4, 5),
    ),
    (
        Seq2Seq,
        {
            "batch_input_shape": (16, 7, 5),
            "hidden_dim": 10,
            "output_length": 8,
            "output_dim": 20,
            "depth": 4,
            "peek": True,
        },
        (16, 8, 20),
        (4, 4),
    ),
    (
        AttentionSeq2Seq,
        {"input_dim": 5, "input_length": 7, "hidden_dim": 10, "output_length": 8, "output_dim": 20, "depth": 4},
        (None, 8, 20),
        (4, 4),
    ),
]


def _draw(*shape: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng([seed, *shape]).normal(size=shape).astype("float32")


X_BSI = _draw(BATCH, SOURCE, INPUT)
Y_BTO = _draw(BATCH, TARGET, OUTPUT)


def _make(kind, **arguments):
    """A model of random weights: equal arguments that make weights give equal weights."""
    model = kind(**SIZES | arguments)
    model.set_weights([0.7 * _draw(*w.shape, seed=k) for k, w in enumerate(model.get_weights())])
    return model


@functools.cache
def _fixed(kind, **arguments):
    """`_make` once for all tests; no test may change it."""
    return _make(kind, **arguments)


def _run(model, *inputs, **kwargs):
    return np.array(model(inputs[0] if len(inputs) == 1 else list(inputs), **kwargs))


def _weights(layer, *names):
    """NumPy copies of the weights whose path ends in these names."""
    found = {weight.path: np.float64(weight.numpy()) for weight in layer.weights}
    return [next(value for path, value in found.items() if path.endswith(name)) for name in names]


def _kernels(layer) -> int:
    return sum(weight.path.endswith("recurrent_kernel") for weight in layer.weights)


# --- NumPy reference -------------------------------------------------------------------------------------------------


def _sigmoid(x):
    return 1 / (1 + np.exp(-x))


def _lstm(cell, x, state):
    kernel, recurrent, bias = _weights(cell, "/kernel", "/recurrent_kernel", "/bias")
    h, c = state
    i, f, g, o = np.split(x @ kernel + h @ recurrent + bias, 4, -1)
    c = _sigmoid(f) * c + _sigmoid(i) * np.tanh(g)
    return _sigmoid(o) * np.tanh(c), c


def _stack(stack, x, states):
    """One step; `states` is one pair in a list, shared, or one a layer."""
    states = list(states)
    for k, cell in enumerate(stack.cells):
        own = 0 if stack.share_state else k
        states[own] = _lstm(cell, x, states[own])
        x = states[own][0]
    return x, states


def _zeros(stack, rows):
    return [(np.zeros((rows, HIDDEN)),) * 2 for _ in range(1 if stack.share_state else stack.depth)]


def _read(stack, x_bsi):
    states, outputs = _zeros(stack, len(x_bsi)), []
    for x_bi in np.moveaxis(np.float64(x_bsi), 1, 0):
        output, states = _stack(stack, x_bi, states)
        outputs.append(output)
    return np.stack(outputs, 1), states


def _dense(layer, x):
    kernel, bias = _weights(layer, "/kernel", "/bias")
    return x @ kernel + bias


def _expected_seq2seq(model, x_bsi, *, broadcast_state=True, truth_bto=None, **_):
    decoder = model.decoder
    memory, states = _read(model.encoder.cell, x_bsi)
    context = memory[:, -1]
    last = _dense(decoder.first, context)
    if not broadcast_state:
        states = _zeros(decoder.cell, len(x_bsi))
    elif not decoder.share_state:  # the tops meet; a deeper decoder starts its upper layers from the encoder's top
        states = (states[-decoder.depth :] + states[-1:] * decoder.depth)[: decoder.depth]
    outputs = []
    for t in range(TARGET):
        x = np.concatenate([last, context], -1) if decoder.peek else last
        hidden, states = _stack(decoder.cell, x, states)
        outputs.append(_dense(decoder.readout, hidden))
        last = outputs[-1] if truth_bto is None else np.float64(truth_bto[:, t])
    return np.stack(outputs, 1)


def _expected_attention(model, x_bsi):
    """Of one sentence without padding: outputs and weights."""
    decoder = model.decoder
    memory = _read(model.encoder.cell, x_bsi)[0]
    if "backward_encoder" in [layer.name for layer in model.layers]:
        memory = memory + _read(model.get_layer("backward_encoder").cell, x_bsi[:, ::-1])[0][:, ::-1]
    keys = _dense(decoder.keys, memory)
    states, last = _zeros(decoder.cell, len(x_bsi)), np.zeros((len(x_bsi), OUTPUT))
    query, score = _weights(decoder, "/query/kernel", "/score")
    outputs, weights = [], []
    for _ in range(TARGET):
        scores = np.exp(np.tanh((states[-1][0] @ query)[:, None] + keys) @ score)
        weights.append(scores / scores.sum(1, keepdims=True))
        seen = (weights[-1][:, :, None] * memory).sum(1)
        hidden, states = _stack(decoder.cell, np.concatenate([last, seen], -1), states)
        last = _dense(decoder.readout, hidden)
        outputs.append(last)
    return np.stack(outputs, 1), np.stack(weights, 1)


# --- what is computed ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("kind", "arguments", "shape", "depth"), EXAMPLES)
def test_examples_of_the_older_library(kind, arguments, shape, depth):
    model = kind(**arguments)
    model.compile(loss="mse", optimizer="rmsprop")
    assert model.output_shape == shape
    encoders = 2 if kind is AttentionSeq2Seq else 1
    assert model.depth == depth
    assert (_kernels(model), _kernels(model.decoder)) == (encoders * depth[0] + depth[1], depth[1])


def test_arguments_have_the_order_of_the_older_library():
    simple, full, attention = (list(inspect.signature(kind).parameters) for kind in MODELS)
    assert simple[:4] == ["output_dim", "output_length", "hidden_dim", "input_shape"]
    assert full[:5] == ["output_dim", "output_length", "batch_input_shape", "input_shape", "batch_size"]
    assert attention[:5] == ["output_dim", "output_length", "batch_input_shape", "batch_size", "input_shape"]


def test_simple_model_equals_a_stack_of_keras_layers():
    model = _make(SimpleSeq2Seq, depth=(2, 2))
    layers = keras.layers
    stock = keras.Sequential([keras.Input((None, INPUT))])
    for k in range(model.depth[0]):
        stock.add(layers.LSTM(HIDDEN, return_sequences=k + 1 < model.depth[0]))
    stock.add(layers.RepeatVector(TARGET))
    for _ in range(model.depth[1]):
        stock.add(layers.LSTM(HIDDEN, return_sequences=True))
    stock.add(layers.Dense(OUTPUT))
    stock.set_weights(model.get_weights())
    close(_run(model, X_BSI), _run(stock, X_BSI))


@pytest.mark.parametrize(
    ("depth", "broadcast", "inner", "peek"),
    [
        # Every pair of values of two switches is there in the fast eighth.
        pytest.param(depth, *switches, marks=[pytest.mark.slow] * (k != (0, 3, 5, 6)[n]))
        for n, depth in enumerate([1, 2, (1, 3), (3, 2)])
        for k, switches in enumerate(itertools.product([False, True], repeat=3))
    ],
)
def test_full_model_equals_the_numpy_reference(depth, broadcast, inner, peek):
    arguments = {"depth": depth, "broadcast_state": broadcast, "inner_broadcast_state": inner, "peek": peek}
    model = _make(Seq2Seq, **arguments)
    close(_run(model, X_BSI), _expected_seq2seq(model, X_BSI, **arguments))


@pytest.mark.parametrize("arguments", [{}, {"depth": (2, 3), "bidirectional": False}])
def test_attention_model_equals_the_numpy_reference(arguments):
    model = _fixed(AttentionSeq2Seq, **arguments)
    outputs, weights = _expected_attention(model, X_BSI)
    close(_run(model, X_BSI), outputs)
    close(np.array(model.with_attention()(X_BSI)[1]), weights)


@pytest.mark.parametrize("switch", ["broadcast_state", "inner_broadcast_state"])
def test_state_switches_change_the_function_of_equal_weights(switch):
    on, off = _fixed(Seq2Seq, depth=2), _fixed(Seq2Seq, depth=2, **{switch: False})
    for one, other in zip(on.get_weights(), off.get_weights(), strict=True):
        np.testing.assert_array_equal(one, other)
    assert np.abs(_run(on, X_BSI) - _run(off, X_BSI)).max() > 1e-2


def test_first_output_depends_on_the_encoders_state_only_with_broadcast_state():
    for broadcast in (False, True):
        model = _make(Seq2Seq, broadcast_state=broadcast)
        decoder, context_bh = model.decoder, _draw(BATCH, HIDDEN)
        model.decoder.first.kernel.assign(0 * model.decoder.first.kernel)
        outputs = _run(model, X_BSI)
        assert np.allclose(outputs[0], outputs[1], atol=1e-4) != broadcast
        assert decoder(context_bh).shape == (BATCH, TARGET, OUTPUT)


FORCED = pytest.mark.parametrize(("kind", "arguments"), [(Seq2Seq, {"peek": True}), (AttentionSeq2Seq, {})])


@FORCED
def test_unrolled_equals_looped_and_so_does_the_gradient_with_teacher_forcing(kind, arguments):
    arguments = arguments | {"teacher_force": True}
    found = []
    for model in (_fixed(kind, **arguments), _make(kind, unroll=True, input_length=SOURCE, **arguments)):
        with tf.GradientTape() as tape:
            outputs = model([X_BSI, Y_BTO], training=True)
            loss = tf.reduce_sum((outputs - Y_BTO) ** 2)
        found.append([model([X_BSI, Y_BTO]), outputs, *tape.gradient(loss, model.trainable_variables)])
    for looped, unrolled in zip(*found, strict=True):
        close(looped, unrolled)


def test_an_unrolled_simple_model_equals_the_looped_one():
    unrolled = _make(SimpleSeq2Seq, depth=2, unroll=True, input_length=SOURCE)
    close(_run(unrolled, X_BSI), _run(_fixed(SimpleSeq2Seq, depth=2), X_BSI))


def test_one_step_of_output():
    assert _run(_make(AttentionSeq2Seq, output_length=1), X_BSI).shape == (BATCH, 1, OUTPUT)


# --- teacher forcing -------------------------------------------------------------------------------------------------


@FORCED
def test_forced_with_its_own_output_a_model_gives_it_again(kind, arguments):
    free, forced = _fixed(kind, **arguments), _fixed(kind, teacher_force=True, **arguments)
    own_bto = _run(free, X_BSI)
    close(_run(forced, X_BSI, own_bto, training=True), own_bto)


@FORCED
def test_gold_outputs_are_fed_only_in_training_and_never_the_one_to_predict(kind, arguments):
    model = _fixed(kind, teacher_force=True, **arguments)
    close(_run(model, X_BSI, Y_BTO), _run(_fixed(kind, **arguments), X_BSI))
    changed_bto = Y_BTO.copy()
    changed_bto[:, 1] += 5
    difference = np.abs(_run(model, X_BSI, Y_BTO, training=True) - _run(model, X_BSI, changed_bto, training=True)).max(
        (0, 2)
    )
    assert (difference[:2] < 1e-6).all()
    assert (difference[2:] > 1e-4).all()


def test_forced_model_equals_the_numpy_reference():
    model = _fixed(Seq2Seq, teacher_force=True, peek=True)
    found = _run(model, X_BSI, Y_BTO, training=True)
    close(found, _expected_seq2seq(model, X_BSI, truth_bto=Y_BTO))


# --- state over batches ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("kind", "arguments"),
    [
        (SimpleSeq2Seq, {"depth": 2}),
        (Seq2Seq, {"depth": 2, "inner_broadcast_state": False}),
        (Seq2Seq, {"depth": 2, "broadcast_state": False}),
    ],
)
def test_two_batches_of_a_stateful_model_equal_one(kind, arguments):
    stateful, whole = _make(kind, stateful=True, batch_size=BATCH, **arguments), _fixed(kind, **arguments)
    halves = X_BSI[:, : SOURCE // 2], X_BSI[:, SOURCE // 2 :]
    first = _run(stateful, halves[0])
    close(_run(stateful, halves[1]), _run(whole, X_BSI))
    assert np.abs(_run(stateful, halves[0]) - first).max() > 1e-3
    stateful.reset_states()
    close(_run(stateful, halves[0]), first, 2e-6)


def test_stateful_attention_remembers_in_the_forward_direction():
    model = _make(AttentionSeq2Seq, stateful=True, batch_size=BATCH)
    halves = X_BSI[:, : SOURCE // 2], X_BSI[:, SOURCE // 2 :]
    model(halves[0])
    memory = np.array(model.encoder(halves[1]))
    close(memory, _read(model.encoder.cell, X_BSI)[0][:, SOURCE // 2 :])
    model.reset_states()
    once = _run(model, halves[0])
    model.reset_states()
    np.testing.assert_array_equal(_run(model, halves[0]), once)


# --- masks and attention ---------------------------------------------------------------------------------------------


def _padded(lengths):
    """The sentences with 9 where they are padded, which `Masking(9)` takes away."""
    return np.where((np.arange(SOURCE) < np.array(lengths)[:, None])[:, :, None], X_BSI, 9).astype("float32")


@pytest.mark.parametrize("kind", MODELS)
def test_padding_changes_nothing(kind):
    lengths = [SOURCE, 1, 2]
    model = _fixed(kind, depth=2)
    masked = keras.Sequential([keras.Input((None, INPUT)), keras.layers.Masking(9.0), model])
    found = _run(masked, _padded(lengths))
    for b, length in enumerate(lengths):
        close(found[b], _run(model, X_BSI[b : b + 1, :length])[0])


def test_attention_weights_sum_to_one_over_real_positions():
    lengths = np.array([SOURCE, 1, 2])
    model = _fixed(AttentionSeq2Seq, depth=2)
    outputs, weights_bts = model.with_attention()(_padded(lengths), mask=np.arange(SOURCE) < lengths[:, None])
    assert weights_bts.shape == (BATCH, TARGET, SOURCE)
    for b, length in enumerate(lengths):
        close(np.sum(weights_bts[b, :, :length], -1), 1)
        np.testing.assert_array_equal(weights_bts[b, :, length:], 0)
    assert outputs.shape == (BATCH, TARGET, OUTPUT)


# --- dropout ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", MODELS)
def test_dropout_is_only_in_training(kind):
    plain, dropping = _fixed(kind, depth=2), _make(kind, depth=2, dropout=0.5)
    close(_run(dropping, X_BSI), _run(plain, X_BSI), 2e-6)
    assert np.abs(_run(dropping, X_BSI, training=True) - _run(plain, X_BSI)).max() > 1e-2


def test_a_stack_drops_nothing_of_its_input():
    cell = LSTMStack(HIDDEN, depth=2, dropout=0.5)
    vectors, states = _draw(64, INPUT), [np.zeros((64, HIDDEN), "float32")] * 4
    kept, dropped = cell(vectors, states)[1], cell(vectors, states, training=True)[1]
    np.testing.assert_array_equal(kept[0], dropped[0])
    assert np.abs(kept[2] - dropped[2]).max() > 1e-3


# --- as Keras models -------------------------------------------------------------------------------------------------

UNUSUAL = [
    (SimpleSeq2Seq, {"depth": (1, 2), "dropout": 0.1, "name": "mine"}),
    (Seq2Seq, {"depth": (2, 1), "broadcast_state": False, "inner_broadcast_state": False, "peek": True}),
    (Seq2Seq, {"teacher_force": True, "unroll": True, "input_length": SOURCE, "stateful": True, "batch_size": BATCH}),
    (AttentionSeq2Seq, {"bidirectional": False, "teacher_force": True}),
]


@pytest.mark.parametrize(("kind", "arguments"), UNUSUAL)
def test_saved_model_computes_the_same(kind, arguments, tmp_path):
    model = _make(kind, **arguments)
    model.save(tmp_path / "model.keras")
    loaded = keras.models.load_model(tmp_path / "model.keras")
    assert type(loaded) is kind
    assert loaded.get_config() == keras.saving.deserialize_keras_object(
        keras.saving.serialize_keras_object(model.get_config())
    )
    inputs = [X_BSI, Y_BTO] if arguments.get("teacher_force") else [X_BSI]
    np.testing.assert_array_equal(_run(loaded, *inputs), _run(model, *inputs))


# The others are saved in `test_saved_model_computes_the_same`.
def test_inside_a_bigger_model(tmp_path):
    inputs = keras.Input((SOURCE, 3))
    inner = Seq2Seq(**SIZES)
    outputs = keras.layers.Dense(1)(inner(keras.layers.Dense(INPUT)(inputs)))
    bigger = keras.Model(inputs, outputs)
    # Compiled training is in `test_learns_a_lagged_sine`.
    bigger.compile(loss="mse", optimizer="rmsprop", run_eagerly=True)
    x_bsi, y_bto = _draw(BATCH, SOURCE, 3), _draw(BATCH, TARGET, 1)
    before = [np.array(weight) for weight in inner.get_weights()]
    bigger.fit(x_bsi, y_bto, verbose=0)
    assert all(np.abs(old - new).max() > 0 for old, new in zip(before, inner.get_weights(), strict=True))
    bigger.save(tmp_path / "bigger.keras")
    loaded = keras.models.load_model(tmp_path / "bigger.keras")
    np.testing.assert_array_equal(_run(loaded, x_bsi), _run(bigger, x_bsi))


def test_model_with_attention_can_be_saved_and_copied(tmp_path):
    model = _make(AttentionSeq2Seq, bidirectional=False).with_attention()
    model.save(tmp_path / "model.keras")
    copy = keras.models.clone_model(model)
    copy.set_weights(model.get_weights())
    for other in (keras.models.load_model(tmp_path / "model.keras"), copy):
        for found, expected in zip(other(X_BSI), model(X_BSI), strict=True):
            np.testing.assert_array_equal(found, expected)


@pytest.mark.parametrize("kind", [LSTMStack, FeedbackDecoder, AttentionDecoder])
def test_settings_of_a_layer_hold_all_its_arguments(kind):
    arguments = (
        {"units": 3} if kind is LSTMStack else {"output_length": 2, "output_dim": 3, "hidden_dim": 4, "unroll": True}
    )
    if kind is FeedbackDecoder:
        arguments["peek"] = True
    arguments |= {"depth": 2, "share_state": True, "dropout": 0.25}
    config = kind(**arguments, name="mine").get_config()
    assert config.items() >= (arguments | {"name": "mine"}).items()
    assert kind.from_config(config).get_config() == config


def test_no_mask_means_that_every_position_is_real():
    np.testing.assert_array_equal(RealPositions()(X_BSI), np.ones((BATCH, SOURCE), bool))


@pytest.mark.slow
@pytest.mark.parametrize("unroll", [False, True])
@pytest.mark.parametrize("kind", [Seq2Seq, pytest.param(AttentionSeq2Seq, marks=pytest.mark.long)])
def test_compiled_by_xla_training_is_the_same(kind, unroll):
    found = []
    for jit_compile in (False, True):
        model = _make(kind, teacher_force=kind is Seq2Seq, unroll=unroll, input_length=SOURCE)
        model.compile(loss="mse", optimizer="sgd", jit_compile=jit_compile)
        model.fit([X_BSI, Y_BTO] if kind is Seq2Seq else X_BSI, Y_BTO, verbose=0)
        found.append(model.get_weights())
    for plain, compiled in zip(*found, strict=True):
        close(plain, compiled)


# --- errors ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", MODELS)
@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"output_dim": 0}, "output_dim must be an integer of 1 or more, got 0"),
        ({"output_length": 2.5}, "output_length must be an integer of 1 or more, got 2.5"),
        ({"output_length": None}, "output_length must be .* got None"),
        ({"hidden_dim": True}, "hidden_dim must be .* got True"),
        ({"depth": 0}, r"depth must be an integer of 1 or more, or a pair \(encoder, decoder\) of them, got 0"),
        ({"depth": (1, 2, 3)}, r"depth must be .* got \(1, 2, 3\)"),
        ({"depth": (1, "2")}, "depth must be"),
        ({"dropout": 1}, "dropout must be a number from 0 to below 1, got 1"),
        ({"dropout": "much"}, "dropout must be .* got 'much'"),
        ({"unroll": "yes"}, "unroll must be True or False, got 'yes'"),
        ({"stateful": None}, "stateful must be True or False"),
        ({"input_dim": None}, "give input_dim, input_shape=.* or batch_input_shape"),
        ({"input_dim": -1}, "input_dim must be"),
        ({"input_shape": 5}, r"input_shape must be \(input_length, input_dim\), got 5"),
        (
            {"batch_input_shape": (7, 5)},
            r"batch_input_shape must be \(batch_size, input_length, input_dim\), got \(7, 5\)",
        ),
        ({"input_shape": (7, 5)}, "input_dim is given as 2 and as 5; give it once"),
        ({"stateful": True}, "stateful=True needs .* batch_size or batch_input_shape"),
        ({"unroll": True}, "unroll=True needs .* input_length, input_shape or batch_input_shape"),
    ],
)
def test_wrong_argument_is_an_error_that_says_what_is_allowed(kind, arguments, message):
    with pytest.raises(ValueError, match=message):
        kind(**SIZES | arguments)


@pytest.mark.parametrize(
    ("kind", "switch"),
    [
        (Seq2Seq, "broadcast_state"),
        (Seq2Seq, "inner_broadcast_state"),
        (Seq2Seq, "peek"),
        (Seq2Seq, "teacher_force"),
        (AttentionSeq2Seq, "bidirectional"),
    ],
)
def test_wrong_switch_is_an_error(kind, switch):
    with pytest.raises(ValueError, match=f"{switch} must be True or False, got 'no'"):
        kind(**SIZES, **{switch: "no"})


def test_sizes_may_come_from_numpy_and_hidden_size_from_the_output():
    model = SimpleSeq2Seq(np.int64(3), 8, input_shape=(7, np.int32(2)), batch_size=5)
    assert (model.input_shape, model.output_shape, model.encoder.cell.units) == ((5, 7, 2), (5, 8, 3), 3)


# --- learning --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "kind",
    [
        pytest.param(SimpleSeq2Seq, marks=pytest.mark.slow),
        *(pytest.param(kind, marks=[pytest.mark.slow, pytest.mark.long]) for kind in MODELS[1:]),
    ],
)
def test_learns_a_lagged_sine(kind):
    keras.utils.set_random_seed(1)
    starts = np.random.default_rng(1).uniform(0, 2 * np.pi, size=(1200, 1))
    wave = np.sin(starts + 0.6 * np.arange(10)).astype("float32")[:, :, None]
    x_bsi, y_bto = wave[:, :6], wave[:, 6:]
    model = kind(input_dim=1, hidden_dim=32, output_length=4, output_dim=1)
    model.compile(loss="mse", optimizer=keras.optimizers.Adam(0.01))
    model.fit(x_bsi[:1000], y_bto[:1000], batch_size=50, epochs=8 if kind is SimpleSeq2Seq else 24, verbose=0)
    assert np.mean((_run(model, x_bsi[1000:]) - y_bto[1000:]) ** 2) < 1e-3
