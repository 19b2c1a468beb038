"""With stand-ins for TensorFlow and Keras, so that nothing is loaded; the real ones are in tests/system/test_cli.py."""

import os
import subprocess
import sys
import textwrap

import pytest

from tests.runs import ROOT
from wordseq.system.errors import UserError
from wordseq.system.tensorflow import import_tensorflow

NO_YNN = "--xla_cpu_experimental_ynn_fusion_type"
NOISE = "import os; os.write(2, b'NOISE\\n')\n"
WORKS = """
class _Logger:
    def setLevel(self, level): pass
def zeros(shape): os.write(2, b'NOISE\\n')
def get_logger(): return _Logger()
class config:
    class threading:
        @staticmethod
        def set_intra_op_parallelism_threads(threads): pass
        @staticmethod
        def set_inter_op_parallelism_threads(threads): pass
"""


@pytest.fixture
def python(tmp_path):
    """Runs a program with the given text as the module tensorflow."""

    def run(tensorflow, program):
        (tmp_path / "tensorflow.py").write_text(NOISE + tensorflow)
        (tmp_path / "keras.py").write_text(NOISE)
        kept = {key: value for key, value in os.environ.items() if not key.startswith(("TF_", "KERAS_"))}
        env = {**kept, "PYTHONPATH": f"{tmp_path}{os.pathsep}{ROOT}"}
        words = [sys.executable, "-c", textwrap.dedent(program)]
        return subprocess.run(words, env=env, capture_output=True, text=True, timeout=300, check=False)

    return run


def test_start_up_messages_are_not_shown_but_later_ones_are(python):
    done = python(
        WORKS,
        """
        import os, sys
        from wordseq.system.tensorflow import import_tensorflow
        print("before", file=sys.stderr)
        import_tensorflow()
        import_tensorflow()
        os.write(2, b"after\\n")
        print(os.environ["TF_CPP_MIN_LOG_LEVEL"], os.environ["KERAS_BACKEND"])
        """,
    )
    assert done.returncode == 0
    assert done.stderr == "before\nafter\n"
    assert done.stdout == "3 tensorflow\n"


def test_when_the_import_fails_what_was_printed_is_shown(python):
    done = python(
        "raise ImportError('no such library')",
        "from wordseq.system.tensorflow import import_tensorflow\nimport_tensorflow()",
    )
    assert done.returncode == 1
    assert "NOISE" in done.stderr
    assert "no such library" in done.stderr


def test_what_the_user_set_is_kept(python):
    done = python(
        WORKS,
        """
        import os
        os.environ["TF_CPP_MIN_LOG_LEVEL"] = "0"
        from wordseq.system.tensorflow import import_tensorflow
        import_tensorflow()
        print(os.environ["TF_CPP_MIN_LOG_LEVEL"])
        """,
    )
    assert done.stdout == "0\n"


@pytest.mark.parametrize(
    ("given", "wanted"),
    [
        ("", f"{NO_YNN}="),
        ("--xla_dump_to=x", f"--xla_dump_to=x {NO_YNN}="),
        (f"{NO_YNN}=individual_dot", f"{NO_YNN}=individual_dot"),
    ],
)
def test_xla_keeps_its_flags_and_does_not_use_the_unsafe_library(given, wanted, python):
    done = python(
        WORKS,
        f"""
        import os
        os.environ["XLA_FLAGS"] = {given!r}
        from wordseq.system.tensorflow import import_tensorflow
        import_tensorflow()
        print(os.environ["XLA_FLAGS"])
        """,
    )
    assert done.stdout == f"{wanted}\n"


@pytest.mark.parametrize(
    "way", ["wordseq", "wordseq.model", "wordseq.translator", "wordseq.vectors", "wordseq.models.losses"]
)
def test_every_way_in_sets_the_environment_before_tensorflow_is_there(way, python):
    """TensorFlow's stand-in shows what was set when it came, and ends the import there."""
    done = python(
        "raise ImportError(os.environ['XLA_FLAGS'] + os.environ['KERAS_BACKEND'])",
        f"""
        import os
        import {way}
        print(os.environ["XLA_FLAGS"], os.environ["KERAS_BACKEND"])
        """,
    )
    assert f"{NO_YNN}=tensorflow" in done.stderr if way != "wordseq" else done.stdout == f"{NO_YNN}= tensorflow\n"


def test_another_backend_that_the_user_chose_is_kept_and_refused(python):
    done = python(
        WORKS,
        """
        import os
        os.environ["KERAS_BACKEND"] = "jax"
        import wordseq
        print(os.environ["KERAS_BACKEND"])
        wordseq.Translator
        """,
    )
    assert done.stdout == "jax\n"
    assert "Keras uses the backend 'jax', and wordseq needs 'tensorflow'" in done.stderr


def test_a_module_imported_before_is_left_alone(python):
    done = python(
        WORKS,
        """
        import tensorflow
        from wordseq.system.tensorflow import import_tensorflow
        import_tensorflow()
        """,
    )
    assert done.stderr == "NOISE\n"
    assert done.returncode == 0


def test_the_package_imports_without_tensorflow(python):
    done = python(
        "raise ImportError('not wanted')",
        "import sys, wordseq, wordseq.cli.main, wordseq.config.load\n"
        "names = {name for name in wordseq.__all__ if name not in ('Translator', 'Hypothesis', 'Sampling')}\n"
        "print([getattr(wordseq, name) for name in names] and 'tensorflow' in sys.modules, names <= set(dir(wordseq)))",
    )
    assert done.stdout == "False True\n", done.stderr
    done = python(WORKS, "import wordseq\nwordseq.Nonsense")
    assert "has no attribute 'Nonsense'" in done.stderr


def test_without_tensorflow_one_line_tells_what_to_type(monkeypatch, capfd):
    monkeypatch.setitem(sys.modules, "tensorflow", None)
    with pytest.raises(UserError, match=r"TensorFlow is not installed: .* 'wordseq\[cpu\]', or 'wordseq\[gpu\]'"):
        import_tensorflow()
    assert capfd.readouterr().err == ""
