from pathlib import Path

import keras
import numpy as np
import pytest
import tensorflow as tf

from tests.closeness import close
from wordseq.config.schema import TrainConfig
from wordseq.models import matmul as products
from wordseq.models.matmul import PRECISIONS, cast_once, matmul, resolve_precision


def _draw(*shape: int) -> tf.Tensor:
    return tf.constant(np.random.default_rng(shape).normal(size=shape), tf.float32)


def test_the_precisions_are_those_of_the_settings():
    choices = TrainConfig.__dataclass_fields__["precision"].metadata["choices"]
    assert {*PRECISIONS, "auto"} == set(choices)


@pytest.mark.parametrize(
    ("a", "b", "transpose_b"),
    [
        (_draw(4, 5), _draw(5, 3), False),
        (_draw(4, 5), _draw(3, 5), True),
        (_draw(2, 4, 5), _draw(5, 3), False),
        (_draw(2, 4, 5), _draw(3, 5), True),
        (_draw(2, 6, 4, 5), _draw(5, 3), False),
        (_draw(2, 4, 5), _draw(2, 5, 3), False),
        (_draw(2, 4, 5), _draw(2, 3, 5), True),
    ],
)
def test_float32_product_equals_numpy(a, b, transpose_b):
    expected = np.float64(a) @ np.float64(tf.linalg.matrix_transpose(b) if transpose_b else b)
    got = matmul(a, b, "float32", transpose_b=transpose_b)
    assert got.dtype.name == "float32"
    close(got, expected, 2e-6)


def test_bfloat16_product_is_float32_of_rounded_factors():
    a, b = _draw(8, 16), _draw(16, 8)
    got = matmul(a, b, "bfloat16")
    assert got.dtype.name == "float32"
    error = np.abs(got - tf.matmul(a, b)).max()
    assert 1e-4 < error < 0.1
    # 257 has 9 bits: it is rounded to 8.
    assert matmul(tf.constant([[257.0]]), tf.constant([[1.0]]), "bfloat16").numpy() == [[256]]


def test_bfloat16_sums_in_float32():
    ones = tf.ones([1, 1000])
    # A sum kept in 8 bits would stop at 256.
    assert matmul(ones, ones, "bfloat16", transpose_b=True).numpy() == [[1000]]


@pytest.mark.parametrize(
    ("flags", "expected"),
    [
        ("fpu sse avx2 avx512f", "float32"),
        ("fpu avx512_bf16 sse", "bfloat16"),
        ("amx_tile amx_bf16 amx_int8", "bfloat16"),
        ("fpu not_amx_bf16_at_all", "float32"),
    ],
)
def test_auto_asks_the_cpu(tmp_path: Path, flags, expected):
    cpu_info = tmp_path / "cpuinfo"
    cpu_info.write_text(f"processor\t: 0\nflags\t\t: {flags}\n")
    assert resolve_precision("auto", cpu_info) == expected
    for name in PRECISIONS:
        assert resolve_precision(name, cpu_info) == name


def test_auto_is_float32_where_the_cpu_is_not_listed(tmp_path: Path):
    assert resolve_precision("auto", tmp_path / "nothing") == "float32"


@pytest.mark.parametrize("rows", [1, products.FEW_ROWS, products.FEW_ROWS + 1])
@pytest.mark.parametrize(
    ("shape", "transpose_b"), [((8, 17), False), ((17, 8), True), ((17, 8), False), ((8, 8), True)]
)
def test_a_product_in_slices_equals_the_complete_one(monkeypatch, rows, shape, transpose_b):
    monkeypatch.setattr(products, "LARGE", 64)
    monkeypatch.setattr(products, "parts", lambda: 3)
    weight = keras.Variable(_draw(*shape))
    a = _draw(rows, shape[transpose_b])
    made = []

    @tf.function
    def divided():
        with cast_once([weight], "float32", divided=True):
            made.extend(products._in_format(weight, tf.float32).slices)
            return matmul(a, weight, "float32", transpose_b=transpose_b)

    got = divided()
    assert len(made) == 3
    close(got, matmul(a, weight, "float32", transpose_b=transpose_b), 2e-6)
