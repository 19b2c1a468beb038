"""With stand-ins for TensorFlow and Keras, so that nothing is loaded; the real ones are in tests/system/test_cli.py."""

import json
import os
import subprocess
import sys
import textwrap

import pytest

from tests.fake_runs import decided
from tests.runs import ROOT
from wordseq.config.load import load_config, to_toml
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


def test_mistakes_in_data_are_reported_without_tensorflow(python, tmp_path):
    """With a run that has its settings only: each command must fail before it needs more."""
    (tmp_path / "bad.tsv").write_text("a\tb\nc\td\nno target\n", encoding="utf-8")
    (tmp_path / "good.tsv").write_text("".join(f"a {k}\tb {k}\n" for k in range(30)), encoding="utf-8")
    (tmp_path / "one").write_text("a\n", encoding="utf-8")
    (tmp_path / "two").write_text("a\nb\n", encoding="utf-8")
    (tmp_path / "latin").write_bytes(b"caf\xe9\n")
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "config.toml").write_text(to_toml(decided(load_config(None, []))), encoding="utf-8")
    commands = {
        "train missing.tsv": "neither a file nor a corpus",
        "train bad.tsv --run r": "bad.tsv:3: 1 column, expected 2",
        "train good.tsv --run r --set data.src_column=x --set data.tgt_column=1": "data.src_column = 'x': no such column",
        "train good.tsv --run r --set data.dev=missing.tsv": "missing.tsv: no such file",
        "train good.tsv --run r --set data.max_chars=1": "all 30 lines were dropped",
        "sweep missing.tsv --cells gru": "neither a file nor a corpus",
        "eval run --src missing --ref one": "missing: no such file",
        "eval run --src one --ref two": "two has 2 lines, but one has 1",
        "eval run --src one --ref latin": "latin:1: not UTF-8",
        "translate run --input missing": "missing: No such file",
        "embed run --input .": "Is a directory",
        "compare other run": "other: no such run folder",
    }
    calls = {
        "wordseq.train('missing.tsv', 'r')": "neither a file nor a corpus",
        "wordseq.train('bad.tsv', 'r')": "bad.tsv:3: 1 column, expected 2",
        "wordseq.train([('a', 'b'), ('c', 3)], 'r')": "pair 2: the target must be a text",
        "wordseq.train([], 'r')": "no pairs in it",
        "wordseq.train([('a', 'b'), ('c', 'd')], 'r')": "the corpus has 2 distinct sources",
        "wordseq.train([('', 'b')] * 9, 'r')": "all 9 lines were dropped",
        "wordseq.load('run').evaluate(['a'], ['b', 'c'])": "1 source, but references of 2",
        "wordseq.compare(['other'])": "other: no such run folder",
    }
    done = python(
        "raise RuntimeError('TensorFlow was imported')",
        f"""
        import contextlib, io, json, os, wordseq
        from wordseq.cli.main import main
        os.chdir({str(tmp_path)!r})
        found = []
        for command in {list(commands)!r}:
            with contextlib.redirect_stderr(io.StringIO()) as said, contextlib.redirect_stdout(io.StringIO()):
                code = main(command.split())
            found.append((code, said.getvalue()))
        for call in {list(calls)!r}:
            with contextlib.redirect_stdout(io.StringIO()):
                try:
                    eval(call)
                except wordseq.UserError as error:
                    found.append((2, str(error)))
        print(json.dumps(found))
        """,
    )
    assert done.returncode == 0, done.stderr
    for (text, complaint), (code, said) in zip((commands | calls).items(), json.loads(done.stdout), strict=True):
        assert code == 2, (text, said)
        assert complaint in said, (text, said)
