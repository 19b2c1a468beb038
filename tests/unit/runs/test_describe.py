import subprocess
import sys

import numpy as np
import pytest

from tests.fake_runs import fake_run, some_test
from tests.runs import environment
from wordseq.runs.describe import describe_run, draw_run
from wordseq.runs.folder import BEST, RunFolder
from wordseq.system.errors import UserError

STATE = {"step": 4, "epoch": 2, "seconds": 9.5, "best_score": 30.0}


@pytest.fixture
def run(tmp_path):
    run = RunFolder(fake_run(tmp_path / "run", some_test(), None))
    kernel, bias, vectors = np.zeros((3, 4), np.float32), np.zeros(4, np.float32), np.zeros((9, 2), np.float32)
    run.save(BEST, {"m/src_embed/vectors": vectors, "m/cells/0/kernel": kernel, "m/cells/0/bias": bias}, STATE)
    return run


def test_layers_are_in_the_order_of_the_model(run):
    found = describe_run(run)
    assert found["layers"] == [
        {"name": "src_embed", "parameters": 18, "shapes": {"vectors": [9, 2]}},
        {"name": "cells/0", "parameters": 16, "shapes": {"kernel": [3, 4], "bias": [4]}},
    ]
    assert (found["parameters"], found["step"]) == (34, 4)


@pytest.mark.parametrize("swapped", [False, True])
def test_the_picture_has_the_sizes_of_source_and_target(tmp_path, swapped):
    levels = ("char", "word")[:: -1 if swapped else 1]
    run = RunFolder(
        fake_run(tmp_path / "run", some_test(), None, *map("data.{}_level={}".format, ("src", "tgt"), levels))
    )
    run.save(BEST, {"m/src_embed/vectors": np.zeros((9, 2), np.float32)}, STATE)
    src, tgt = (len(codec.vocab) for codec in run.codecs)
    picture = draw_run(run, describe_run(run))
    assert src != tgt
    assert f"{src:,} ids to [b, s," in picture
    assert f"{tgt:,} ids to [b, t," in picture
    assert f"{tgt:,} ids to [b, k," in picture
    assert f"logits [b, t, {tgt:,}]" in picture


@pytest.mark.parametrize("key", STATE)
def test_a_state_without_its_numbers_is_refused(run, key):
    run.save(BEST, {"m/a/b": np.zeros(3)}, {**STATE, key: "x"})
    with pytest.raises(UserError, match=rf"best\.safetensors: damaged checkpoint: {key} = 'x', expected a number"):
        describe_run(run)


@pytest.mark.parametrize("options", [["--json"], ["--svg", "model.svg"]])
def test_describing_needs_no_tensorflow(run, tmp_path, options):
    code = (
        "import sys; from wordseq.cli.main import main; code = main(sys.argv[1:]); "
        "sys.exit(code or str({'tensorflow', 'keras'} & set(sys.modules) or ''))"
    )
    words = [sys.executable, "-c", code, "describe", str(run.folder), *options]
    done = subprocess.run(
        words, env=environment(), cwd=tmp_path, capture_output=True, text=True, timeout=120, check=False
    )
    assert done.stderr.strip() == ""
    assert "src_embed" in done.stdout
