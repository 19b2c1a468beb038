"""The recurrent cells once more, in NumPy float64, gate by gate from the papers' equations.

Nothing here is taken from `wordseq`: only the order of the gates in a kernel's columns is agreed upon, that of Keras.
A step gets the weights by name, the input of one sentence `[i]`, the state, and a factor on the last output where it meets the
recurrent kernel (recurrent dropout); it gives the next state, whose first vector is the output.
"""

from collections.abc import Callable, Mapping

import numpy as np

Weights = Mapping[str, np.ndarray]
State = tuple[np.ndarray, ...]
Step = Callable[[Weights, np.ndarray, State, np.ndarray | float], State]


def _sigmoid(x: np.ndarray) -> np.ndarray:
    return 1 / (1 + np.exp(-x))


def _gate(weights: Weights, name: str, gate: int, units: int) -> np.ndarray:
    return weights[name][..., gate * units : (gate + 1) * units]


def rnn(weights: Weights, x: np.ndarray, state: State, keep: np.ndarray | float = 1.0) -> State:
    """Elman (1990): h_t = tanh(W x_t + U h_{t-1} + b)."""
    (h,) = state
    return (np.tanh(x @ weights["kernel"] + (keep * h) @ weights["recurrent_kernel"] + weights["bias"]),)


def lstm(weights: Weights, x: np.ndarray, state: State, keep: np.ndarray | float = 1.0) -> State:
    """Hochreiter and Schmidhuber (1997), with the forget gate of Gers, Schmidhuber and Cummins (2000), no peepholes.

    i_t = s(W_i x_t + U_i h_{t-1} + b_i)      f_t = s(W_f x_t + U_f h_{t-1} + b_f)
    g_t = tanh(W_g x_t + U_g h_{t-1} + b_g)   o_t = s(W_o x_t + U_o h_{t-1} + b_o)
    c_t = f_t c_{t-1} + i_t g_t               h_t = o_t tanh(c_t)
    """
    h, c = state

    def gate(index: int) -> np.ndarray:
        w, u, b = (_gate(weights, name, index, len(h)) for name in ("kernel", "recurrent_kernel", "bias"))
        return x @ w + (keep * h) @ u + b

    new_c = _sigmoid(gate(1)) * c + _sigmoid(gate(0)) * np.tanh(gate(2))
    return _sigmoid(gate(3)) * np.tanh(new_c), new_c


def gru(weights: Weights, x: np.ndarray, state: State, keep: np.ndarray | float = 1.0) -> State:
    """Cho et al. (2014), equations 5-8, with the reset gate after the recurrent product, as in cuDNN.

    z_t = s(W_z x_t + b_z + U_z h_{t-1} + b'_z)      r_t = s(W_r x_t + b_r + U_r h_{t-1} + b'_r)
    n_t = tanh(W_n x_t + b_n + r_t (U_n h_{t-1} + b'_n))
    h_t = z_t h_{t-1} + (1 - z_t) n_t
    """
    (h,) = state

    def of_input(index: int) -> np.ndarray:
        return x @ _gate(weights, "kernel", index, len(h)) + _gate(weights, "bias", index, len(h))[0]

    def of_state(index: int) -> np.ndarray:
        return (keep * h) @ _gate(weights, "recurrent_kernel", index, len(h)) + _gate(weights, "bias", index, len(h))[1]

    z = _sigmoid(of_input(0) + of_state(0))
    r = _sigmoid(of_input(1) + of_state(1))
    n = np.tanh(of_input(2) + r * of_state(2))
    return (z * h + (1 - z) * n,)


def _layer_norm(a: np.ndarray, gain: np.ndarray) -> np.ndarray:
    """Ba et al. (2016), equation 4, without bias; 1e-5 is added to the variance."""
    return gain * (a - np.mean(a)) / np.sqrt(np.var(a) + 1e-5)


def ln_lstm(weights: Weights, x: np.ndarray, state: State, keep: np.ndarray | float = 1.0) -> State:
    """Ba et al. (2016), equations 20-22, one bias for all that are added to the gates; gates i, f, g, o.

    a_t = LN(W_h h_{t-1}; alpha_1) + LN(W_x x_t; alpha_2) + b
    c_t = s(f_t) c_{t-1} + s(i_t) tanh(g_t)      h_t = s(o_t) tanh(LN(c_t; alpha_3) + beta_3)
    """
    h, c = state
    of_state = _layer_norm((keep * h) @ weights["recurrent_kernel"], weights["recurrent_gain"])
    of_input = _layer_norm(x @ weights["kernel"], weights["input_gain"])
    i, f, g, o = (of_state + of_input + weights["bias"]).reshape(4, len(h))
    new_c = _sigmoid(f) * c + _sigmoid(i) * np.tanh(g)
    return _sigmoid(o) * np.tanh(_layer_norm(new_c, weights["cell_gain"]) + weights["cell_bias"]), new_c


def ln_gru(weights: Weights, x: np.ndarray, state: State, keep: np.ndarray | float = 1.0) -> State:
    """Ba et al. (2016), supplement, with z and 1 - z exchanged; gates z, r, then the candidate n.

    (z_t; r_t) = LN(W_h h_{t-1}; alpha_1, beta_1) + LN(W_x x_t; alpha_2, beta_2)
    n_t = tanh(LN(W x_t; alpha_3, beta_3) + s(r_t) LN(U h_{t-1}; alpha_4, beta_4))
    h_t = s(z_t) h_{t-1} + (1 - s(z_t)) n_t
    """
    (h,) = state
    units = len(h)

    def normal(a: np.ndarray, side: int, columns: slice) -> np.ndarray:
        gain = weights[("input_gain", "recurrent_gain")[side]]
        return _layer_norm(a[columns], gain[columns]) + weights["bias"][side, columns]

    of_input, of_state = x @ weights["kernel"], (keep * h) @ weights["recurrent_kernel"]
    gates, candidate = slice(0, 2 * units), slice(2 * units, 3 * units)
    z, r = _sigmoid(normal(of_input, 0, gates) + normal(of_state, 1, gates)).reshape(2, units)
    n = np.tanh(normal(of_input, 0, candidate) + r * normal(of_state, 1, candidate))
    return (z * h + (1 - z) * n,)


def sru(weights: Weights, x: np.ndarray, state: State, keep: np.ndarray | float = 1.0) -> State:
    """Lei et al. (2018), equations 1-4, highway term scaled by sqrt(3); its input has weights where sizes differ.

    f_t = s(W_f x_t + v_f c_{t-1} + b_f)      c_t = f_t c_{t-1} + (1 - f_t) (W x_t)
    r_t = s(W_r x_t + v_r c_{t-1} + b_r)      h_t = r_t c_t + (1 - r_t) alpha x_t
    """
    _, c = state
    blocks = (x @ weights["kernel"]).reshape(-1, len(c))
    (v_f, v_r), (b_f, b_r) = weights["vectors"], weights["bias"]
    f = _sigmoid(blocks[1] + v_f * c + b_f)
    r = _sigmoid(blocks[2] + v_r * c + b_r)
    new_c = f * c + (1 - f) * blocks[0]
    return r * new_c + (1 - r) * np.sqrt(3) * (blocks[3] if len(blocks) == 4 else x), new_c


def atr(weights: Weights, x: np.ndarray, state: State, keep: np.ndarray | float = 1.0) -> State:
    """Zhang et al. (2018), with a bias: p_t = W x_t + b, q_t = U h_{t-1}, h_t = s(p_t + q_t) p_t + s(p_t - q_t) h_{t-1}."""
    (h,) = state
    p, q = x @ weights["kernel"] + weights["bias"], (keep * h) @ weights["recurrent_kernel"]
    return (_sigmoid(p + q) * p + _sigmoid(p - q) * h,)


def lrn(weights: Weights, x: np.ndarray, state: State, keep: np.ndarray | float = 1.0) -> State:
    """Zhang and Sennrich (2019), with biases and g = tanh.

    q_t, k_t, v_t = x_t W_q + b_q, x_t W_k + b_k, x_t W_v + b_v
    i_t = s(k_t + h_{t-1})      f_t = s(q_t - h_{t-1})      h_t = g(i_t v_t + f_t h_{t-1})
    """
    (h,) = state
    q, k, v = (x @ weights["kernel"] + weights["bias"]).reshape(3, len(h))
    return (np.tanh(_sigmoid(k + h) * v + _sigmoid(q - h) * h),)


def min_gru(weights: Weights, x: np.ndarray, state: State, keep: np.ndarray | float = 1.0) -> State:
    """Feng et al. (2024): z_t = s(W_z x_t + b_z), n_t = W_n x_t + b_n, h_t = (1 - z_t) h_{t-1} + z_t n_t."""
    (h,) = state
    z, n = (x @ weights["kernel"] + weights["bias"]).reshape(2, len(h))
    return ((1 - _sigmoid(z)) * h + _sigmoid(z) * n,)


def min_lstm(weights: Weights, x: np.ndarray, state: State, keep: np.ndarray | float = 1.0) -> State:
    """Feng et al. (2024), with gates f, i of the input alone and n_t = W_n x_t + b_n.

    f'_t = f_t / (f_t + i_t)      i'_t = i_t / (f_t + i_t)      h_t = f'_t h_{t-1} + i'_t n_t
    """
    (h,) = state
    f, i, n = (x @ weights["kernel"] + weights["bias"]).reshape(3, len(h))
    f, i = _sigmoid(f), _sigmoid(i)
    return (f / (f + i) * h + i / (f + i) * n,)


REFERENCES: Mapping[str, Step] = {
    "gru": gru,
    "lstm": lstm,
    "rnn": rnn,
    "ln_gru": ln_gru,
    "ln_lstm": ln_lstm,
    "sru": sru,
    "atr": atr,
    "lrn": lrn,
    "min_gru": min_gru,
    "min_lstm": min_lstm,
}
STATE_PARTS = {name: 2 if name in ("lstm", "ln_lstm", "sru") else 1 for name in REFERENCES}


def run(
    step: Step,
    weights: Weights,
    inputs_ti: np.ndarray,
    state: State,
    *,
    reverse: bool = False,
    keep: np.ndarray | float = 1.0,
) -> tuple[np.ndarray, State]:
    """Outputs `[t, h]` in the order of the input, and the last state, of one sentence without padding."""
    steps = range(len(inputs_ti))
    outputs = np.zeros((len(inputs_ti), len(state[0])))
    for t in reversed(steps) if reverse else steps:
        state = step(weights, inputs_ti[t], state, keep)
        outputs[t] = state[0]
    return outputs, state
