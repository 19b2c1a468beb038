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


REFERENCES: Mapping[str, Step] = {"gru": gru, "lstm": lstm, "rnn": rnn}
STATE_PARTS = {"gru": 1, "lstm": 2, "rnn": 1}


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
