"""A translator in other processes and threads, and beside what a program has set in TensorFlow and Keras."""

import contextlib
import copy
import os
import pickle
import shutil
import signal
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor

import keras
import numpy as np
import pytest
import tensorflow as tf

from tests.eager import eagerly
from tests.faults import in_child
from tests.runs import ROOT, environment, some_pairs
from wordseq.batches.id_store import IdStore
from wordseq.config.load import load_config
from wordseq.config.schema import ModelConfig, TrainConfig
from wordseq.decoding.translator import Translator
from wordseq.models.seq2seq import Seq2Seq
from wordseq.runs.weights import arrays_of, by_path
from wordseq.system.errors import UserError
from wordseq.training.run import train_run
from wordseq.training.step import Trainer

TEXTS = [pair.src for pair in some_pairs()[:3]]


@pytest.fixture(scope="module")
def translator(tiny_run):
    return Translator.load(tiny_run.folder)


@pytest.fixture(scope="module")
def expected(translator):
    """Translations and vectors of `TEXTS`, computed uncompiled and with nothing set."""
    with eagerly():
        return translator(TEXTS), translator.embed(TEXTS)


# --- forked


@pytest.mark.parametrize("call", ["translate", "embed", "nats", "load", "build", "train"])
def test_after_a_fork_an_error_says_so_at_once(translator, tiny_run, tmp_path, call):
    config, folder = load_config(None, []), tmp_path / "new"
    calls = {
        "translate": lambda: translator(TEXTS),
        "embed": lambda: translator.embed(TEXTS),
        "nats": lambda: translator.scorer.nats(IdStore.of([[4]]), IdStore.of([[4]])),
        "load": lambda: Translator.load(tiny_run.folder),
        "build": lambda: Seq2Seq(ModelConfig(), 9, 9),
        "train": lambda: train_run(config, folder),
    }

    def work():
        signal.alarm(20)  # As it was, it waited for ever.
        with pytest.raises(UserError, match="forked from one in which TensorFlow ran"):
            calls[call]()
        os.kill(os.getpid(), signal.SIGUSR1)

    assert in_child(work) == signal.SIGUSR1
    assert not folder.exists()


# --- pickled


def test_a_pickled_translator_is_loaded_again_from_its_run(translator, expected):
    with eagerly():
        for found in (pickle.loads(pickle.dumps(translator)), copy.deepcopy(translator)):
            assert found is not translator
            assert found(TEXTS) == expected[0]
            assert (found.config, found.origin) == (translator.config, translator.origin)
    assert os.path.isabs(translator.origin.folders[0])
    assert len(pickle.dumps(translator)) < 5000


def test_what_cannot_be_loaded_again_says_so(translator, tiny_run, tmp_path):
    made = Translator(translator.model, translator.src, translator.tgt, translator.config, 1.0)
    with pytest.raises(TypeError, match="not loaded from a run folder cannot be pickled"):
        pickle.dumps(made)
    folder = shutil.copytree(tiny_run.folder, tmp_path / "run")
    pickled = pickle.dumps(Translator.load(folder))
    shutil.copy(folder / "last.safetensors", folder / "best.safetensors")
    with pytest.raises(UserError, match=r"run: was trained since the Translator was pickled"):
        pickle.loads(pickled)
    shutil.rmtree(folder)
    with pytest.raises(UserError, match="run: no such run folder"):
        pickle.loads(pickled)


@pytest.mark.slow
def test_spawned_processes_translate(translator, tmp_path):
    (tmp_path / "translator").write_bytes(pickle.dumps(translator))
    program = f"import pickle, sys; print(pickle.load(open(sys.argv[1], 'rb'))({TEXTS!r}))"
    words = [sys.executable, "-c", program, tmp_path / "translator"]
    done = subprocess.run(words, env=environment(), cwd=ROOT, capture_output=True, text=True, timeout=300, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout == f"{translator(TEXTS)}\n"


# --- threads


def test_several_threads_get_what_one_gets(tiny_run, expected):
    """A new translator, so that all of them want the first search compiled."""
    shared = Translator.load(tiny_run.folder)
    with ThreadPoolExecutor(8) as pool:
        found = list(pool.map(lambda k: shared.embed(TEXTS) if k % 4 == 3 else shared(TEXTS), range(16)))
    for k, each in enumerate(found):
        if k % 4 == 3:
            np.testing.assert_allclose(each, expected[1], atol=1e-6)
        else:
            assert each == expected[0]


# --- what a program has set


@contextlib.contextmanager
def policy(name):
    before = keras.config.dtype_policy()
    keras.config.set_dtype_policy(name)
    try:
        yield
    finally:
        assert keras.config.dtype_policy().name == name
        keras.config.set_dtype_policy(before)


@contextlib.contextmanager
def floatx(name):
    keras.config.set_floatx(name)
    try:
        yield
    finally:
        assert keras.config.floatx() == name
        keras.config.set_floatx("float32")


@contextlib.contextmanager
def checked_numbers():
    tf.debugging.enable_check_numerics()
    try:
        yield
    finally:
        tf.debugging.disable_check_numerics()


STATES = {
    "mixed_float16": lambda: policy("mixed_float16"),
    "mixed_bfloat16": lambda: policy("mixed_bfloat16"),
    "bfloat16": lambda: policy("bfloat16"),
    "float64": lambda: floatx("float64"),
    "float16": lambda: floatx("float16"),
    "strategy": lambda: tf.distribute.MirroredStrategy(["/CPU:0"]).scope(),
    "device": lambda: tf.device("/CPU:0"),
    "graph": lambda: tf.Graph().as_default(),
    "check_numerics": checked_numbers,
}


@pytest.mark.parametrize("state", STATES)
def test_a_translator_gives_the_same_whatever_the_program_has_set(tiny_run, expected, state):
    with eagerly(), STATES[state]():
        other = Translator.load(tiny_run.folder)
        found = other(TEXTS), other.embed(TEXTS)
    assert found[0] == expected[0]
    np.testing.assert_array_equal(found[1], expected[1])


def trained_weights(optimizer):
    """All arrays of a training of two updates."""
    ids = np.array([[4, 5, 2], [6, 2, 0]], np.int32), np.array([[1, 4, 2], [1, 5, 2]], np.int32)
    model = Seq2Seq(ModelConfig(embed_dim=4, hidden_size=6, dropout=0.3, bidirectional=False), 9, 9)
    trainer = Trainer(model, TrainConfig(optimizer=optimizer, shards=1))
    for _ in range(2):
        trainer.updater.set_learning_rate(1e-3)
        trainer.update(*ids)
    return arrays_of(trainer.variables()) | arrays_of(by_path(model.weights))


@pytest.fixture(scope="module")
def usual_weights():
    """With nothing set, of each optimizer."""
    with eagerly():
        return {optimizer: trained_weights(optimizer) for optimizer in ("adam", "adamw")}


@pytest.mark.parametrize(
    ("state", "optimizer"), [("mixed_float16", "adamw"), ("float64", "adam"), ("float64", "adamw"), ("float16", "adam")]
)
def test_training_gives_the_same_whatever_the_program_has_set(usual_weights, state, optimizer):
    expected = usual_weights[optimizer]
    with eagerly(), STATES[state]():
        found = trained_weights(optimizer)
    assert found.keys() == expected.keys()
    for name, values in expected.items():
        assert found[name].dtype == values.dtype, name
        np.testing.assert_array_equal(found[name], values, name)


@pytest.mark.parametrize("state", ["strategy", "graph", "check_numerics"])
def test_training_refuses_what_it_cannot_work_in(state, tmp_path):
    with STATES[state](), pytest.raises(UserError, match=r"tf\.distribute|tf\.Graph|enable_check_numerics"):
        train_run(load_config(None, []), tmp_path / "new")
    assert not (tmp_path / "new").exists()
