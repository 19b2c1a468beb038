"""Settings of all tests: no start-up messages of TensorFlow, no time limit per example (the first one compiles).

What tests write is not forced onto the disk, which costs more than writing it.
"""

import fcntl
import functools
import gc
import importlib
import json
import os
import signal
import sys
import typing

import pytest
from hypothesis import settings

from tests.runs import TinyRun, train_tiny
from tests.skips import pytest_sessionfinish, pytest_terminal_summary  # noqa: F401
from wordseq.system.tensorflow import import_tensorflow

# What is imported stays: to look through it for garbage again and again takes a tenth of the time.
gc.set_threshold(200_000, 50, 100)

# Without bytecode every worker would compile all tests each time: 3 s.
sys.dont_write_bytecode = False

settings.register_profile("wordseq", deadline=None, max_examples=25)
settings.load_profile("wordseq")


def pytest_configure(config):
    # oneDNN prepares each product for its sizes, which costs more than the products of `make test`. Programs that tests start,
    # slow tests and `make test-isa` have it.
    if "not slow" in config.option.markexpr and "ONEDNN_MAX_CPU_ISA" not in os.environ:
        os.environ.setdefault("TF_ENABLE_ONEDNN_OPTS", "0")
    # A shell makes its background jobs ignore Ctrl-C, and what they start: tests send it.
    if signal.getsignal(signal.SIGINT) == signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)
    # With -n, the process that deals out the tests runs none.
    if config.getoption("dist", "no") == "no":
        import_tensorflow()
        set_plain_values_at_once()
    # In this process; those that tests start keep it.
    os.fsync = lambda file: None
    # TensorFlow asks of most values whether they follow a protocol. From Python 3.12 on, the answer is kept.
    if sys.version_info < (3, 12):
        for name in ("_get_protocol_attrs", "_is_callable_members_only"):
            setattr(typing, name, functools.cache(getattr(typing, name)))


def set_plain_values_at_once():
    """Attributes of Keras's layers that are plain values are set as those of any object.

    Keras looks through each value for weights to keep track of, which is a third of the time that a small model takes to build.
    """
    layer = importlib.import_module("keras").layers.Layer
    plain = frozenset((bool, int, float, str, type(None)))
    stock = layer.__setattr__

    def set_attribute(self, name, value):
        if type(value) in plain:
            object.__setattr__(self, name, value)
        else:
            stock(self, name, value)

    layer.__setattr__ = set_attribute


def pytest_runtest_setup():
    """Count the names of layers and variables from the start.

    Keras numbers them, and TensorFlow makes a new kernel for a variable with a new name: a millisecond each.
    """
    naming = sys.modules.get("keras.src.utils.naming")
    if naming:
        naming.reset_uids()


def pytest_collection_finish(session):
    gc.collect()
    gc.freeze()


@pytest.fixture(scope="module")
def uncompiled():
    """Every `tf.function` runs as Python: the same operations, without the seconds that compiling a training takes.

    A test that needs one compiled asks for `compiled` too.
    """
    with importlib.import_module("tests.eager").eagerly():
        yield


@pytest.fixture
def compiled():
    """Within a module that is `uncompiled`, compile."""
    tf = importlib.import_module("tensorflow")
    before = tf.config.functions_run_eagerly()
    tf.config.run_functions_eagerly(False)
    yield
    tf.config.run_functions_eagerly(before)


@pytest.fixture
def eager():
    """See `tests.eager`: for a test of something else than what is compiled."""
    with importlib.import_module("tests.eager").eagerly():
        yield


@pytest.fixture(scope="module")
def few_draws():
    """See `fake_runs.few_draws`."""
    with importlib.import_module("tests.fake_runs").few_draws():
        yield


@pytest.fixture(scope="module")
def loaded_once():
    """Runs with the same weights, vocabularies and settings share one model: to build it costs more than a search."""
    module = importlib.import_module("wordseq.decoding.translator")
    made, load = {}, module.load_model

    def shared(run, name="best", precision="float32"):
        _, state = run.load(name)  # Also checks the file.
        contents = (run.header(name).sha256, *(codec.sha256 for codec in run.codecs))
        key = (*contents, str((run.config.model, run.config.train)), precision)
        if key not in made:
            made[key], _ = load(run, name, precision)
        return made[key], state

    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(module, "load_model", shared)
        yield


@pytest.fixture(scope="session")
def tiny_run(tmp_path_factory) -> TinyRun:
    """A run of 5 updates on 200 pairs, trained by the command line, once for all workers. To read or to copy."""
    base = tmp_path_factory.getbasetemp()
    folder = (base.parent if base.name.startswith("popen-") else base) / "tiny"
    folder.mkdir(exist_ok=True)
    with (folder / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        said = folder / "said.json"
        if not said.exists():
            eagerly, few_draws = (importlib.import_module(f"tests.{name}") for name in ("eager", "fake_runs"))
            with eagerly.eagerly(), few_draws.few_draws():
                said.write_text(json.dumps(train_tiny(folder)), encoding="utf-8")
        code, out, err = json.loads(said.read_text(encoding="utf-8"))
    return TinyRun(folder / "run", folder / "pairs.tsv", code, out, err)
