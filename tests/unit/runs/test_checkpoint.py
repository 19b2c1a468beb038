import json
import os
import pickle

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from safetensors import safe_open
from safetensors.numpy import load_file, save

from wordseq.runs import checkpoint
from wordseq.runs.checkpoint import METADATA_KEY, checkpoint_bytes, read_checkpoint, read_header, sha256_of

ARRAYS = {
    "a/kernel": np.random.default_rng(1).normal(size=(3, 4)).astype(np.float32),
    "a/bias": np.array([0.0, -0.0, np.inf, np.nan, 1e-40], np.float32),
    "seeds/0": np.array([2**40, 7]),
    "scalar": np.array(3, np.int64),
    "empty": np.zeros((0, 7), np.float32),
    "bits": np.arange(3, dtype=np.uint32),
    "count": np.arange(3, dtype=np.int32),
    "transposed": np.arange(6.0).reshape(2, 3).T,
}
STATE = {"step": 12, "best_score": 0.1 + 0.2, "finished": "", "epoch": 3}


@pytest.fixture
def path(tmp_path):
    path = tmp_path / "best.safetensors"
    path.write_bytes(checkpoint_bytes(ARRAYS, STATE))
    return path


def test_a_checkpoint_is_loaded_bit_for_bit(path):
    arrays, state = read_checkpoint(path)
    assert state == STATE
    assert list(arrays) == list(ARRAYS)
    for name, value in ARRAYS.items():
        assert arrays[name].dtype == value.dtype
        assert arrays[name].shape == value.shape
        assert arrays[name].tobytes() == value.tobytes()


def test_equal_checkpoints_are_equal_files(path):
    assert {checkpoint_bytes(ARRAYS, STATE) for _ in range(20)} == {path.read_bytes()}


def test_other_programs_read_a_checkpoint(path):
    arrays = load_file(path)
    assert arrays.keys() == ARRAYS.keys()
    with safe_open(path, framework="numpy") as file:
        assert json.loads(file.metadata()[METADATA_KEY])["state"] == STATE


def test_the_header_is_read_without_the_arrays(path):
    content = path.read_bytes()
    header = read_header(path)
    assert header.state == STATE
    assert header.shapes == {name: value.shape for name, value in ARRAYS.items()}
    assert header.parameters == sum(value.size for value in ARRAYS.values())
    path.write_bytes(content[:-4] + b"abcd")
    assert read_header(path) == header
    path.write_bytes(checkpoint_bytes({**ARRAYS, "count": np.arange(1, 4, dtype=np.int32)}, STATE))
    assert read_header(path).sha256 != header.sha256
    path.write_bytes(checkpoint_bytes(ARRAYS, {**STATE, "step": 13}))
    assert read_header(path).sha256 != header.sha256


class Trap:
    """Acts when it is unpickled."""

    def __reduce__(self):
        return (os.mkdir, ("unpickled",))


def test_no_pickle_is_ever_executed(path, monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    objects = np.array([Trap()], dtype=object)
    path.write_bytes(pickle.dumps(Trap()))
    with pytest.raises(Exception, match="header"):
        read_checkpoint(path)
    for write in (np.save, np.savez):
        with path.open("wb") as file:
            write(file, objects)
        with pytest.raises(Exception, match="header"):
            read_checkpoint(path)
    with pytest.raises(Exception, match="object"):
        checkpoint_bytes({"a": objects}, {})
    assert not (tmp_path / "unpickled").exists()


@pytest.mark.parametrize("about", ["", "[1]", "3", "{", "{}", '{"state": []}', '{"state": {}}', "[" * 100_000])
def test_metadata_of_another_kind_are_refused(path, about):
    for metadata in ({METADATA_KEY: about}, {}, None):
        path.write_bytes(save({"a": np.zeros(3)}, metadata))
        for read in (read_checkpoint, read_header):
            with pytest.raises((TypeError, ValueError, KeyError, RecursionError)):
                read(path)


@pytest.mark.parametrize("names", [[], ["a"], ["a", "b", "c"], ["a", "a"], "ab", [["a"], ["b"]]])
def test_names_that_are_not_those_of_the_arrays_are_refused(path, names):
    about = {"state": {}, "sha256": "", "names": names}
    path.write_bytes(save({"a": np.zeros(3), "bb": np.zeros(3)}, {METADATA_KEY: json.dumps(about)}))
    with pytest.raises(Exception, match=r"name|tensor|argument"):
        read_header(path)


@pytest.mark.parametrize(
    "change",
    [
        lambda header: header["kernel"].update(shape=[9_999_999_999_999]),
        lambda header: header["kernel"].update(shape=[2**63, 2**63]),
        lambda header: header["kernel"].update(shape=[-1]),
        lambda header: header["kernel"].update(shape=[9_999_999_999_999], data_offsets=[0, 8 * 9_999_999_999_999]),
        lambda header: header["kernel"].update(data_offsets=[0, 2**62]),
        lambda header: header["kernel"].update(dtype="F32"),
        lambda header: header.update(other=header["kernel"]),
    ],
)
def test_a_header_that_asks_for_more_memory_than_the_file_has_is_refused(path, monkeypatch, change):
    content = checkpoint_bytes({"kernel": np.zeros(1000)}, STATE)
    size = int.from_bytes(content[:8], "little")
    header = json.loads(content[8 : 8 + size])
    change(header)
    text = json.dumps(header).encode()
    path.write_bytes(len(text).to_bytes(8, "little") + text + content[8 + size :])
    # The header alone is refused: nothing has asked for an array.
    for read in (read_header, read_checkpoint):
        with pytest.raises(Exception, match="header"):
            read(path)


@pytest.mark.parametrize("size", [0, 1, 2**20, 2**40, 2**63, 2**64 - 1])
def test_a_wrong_length_of_the_header_is_refused(path, size):
    path.write_bytes(size.to_bytes(8, "little") + path.read_bytes()[8:])
    with pytest.raises(Exception, match="header"):
        read_header(path)


@pytest.fixture(scope="module")
def saved():
    return checkpoint_bytes({"kernel": np.arange(12.0).reshape(3, 4), "bias": np.arange(3)}, {"step": 3})


@given(data=st.data())
@settings(max_examples=300, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_damage_is_found_or_harmless(saved, tmp_path, data):
    """No flipped byte and no cut gives other numbers, or anything but an Exception."""
    damaged = bytearray(saved)
    place = data.draw(st.integers(0, len(saved) - 1))
    if data.draw(st.booleans()):
        damaged[place] ^= data.draw(st.integers(1, 255))
    else:
        del damaged[place:]
    (tmp_path / "best.safetensors").write_bytes(bytes(damaged))
    try:
        arrays, state = read_checkpoint(tmp_path / "best.safetensors")
    except Exception as error:
        found = str(error)
    else:
        found = ""
    if found:
        assert "\n" not in found
        return
    assert state == {"step": 3}
    for name, value in arrays.items():
        expected = {"kernel": np.arange(12.0).reshape(3, 4), "bias": np.arange(3)}[name]
        np.testing.assert_array_equal(value, expected)


def test_numbers_that_are_not_those_saved_are_found_by_their_digest(path):
    path.write_bytes(path.read_bytes()[:-1] + b"\x7f")
    with pytest.raises(ValueError, match="SHA-256"):
        read_checkpoint(path)


def test_a_reader_gets_one_checkpoint_while_another_takes_its_place(path, monkeypatch):
    header = checkpoint._header

    def replace_between(file):
        other = path.with_name("other")
        other.write_bytes(checkpoint_bytes({"other": np.zeros(3)}, {"step": 99}))
        other.replace(path)
        return header(file)

    monkeypatch.setattr(checkpoint, "_header", replace_between)
    arrays, state = read_checkpoint(path)
    assert (arrays.keys(), state) == (ARRAYS.keys(), STATE)


def test_the_digest_depends_on_names_shapes_and_values_alone():
    base = {"a": np.zeros((2, 3), np.float32), "b": np.ones(2, np.float32)}
    assert sha256_of(base) == sha256_of(dict(reversed(base.items())))
    assert sha256_of(base) == sha256_of({"a": np.zeros((3, 2), np.float32).T, "b": base["b"]})
    others = [
        {"a": base["a"].reshape(3, 2), "b": base["b"]},
        {"a": base["a"], "c": base["b"]},
        {"a": base["a"], "b": np.array([1, np.nextafter(np.float32(1), np.float32(2))], np.float32)},
        {"a": base["a"].astype(np.float64), "b": base["b"]},
    ]
    assert len({sha256_of(arrays) for arrays in [base, *others]}) == 5


def test_the_digest_of_weights_does_not_change_with_the_version():
    weights = {"a/kernel": np.arange(6, dtype=np.float32).reshape(2, 3), "b": np.array(1.5, np.float32)}
    assert sha256_of(weights) == "1109b6af5a065d240173e03b11926db7cc771f51011dd7bac3a741930b7c50e2"


def test_a_file_that_may_not_be_read_is_not_missing(path):
    path.chmod(0)
    child = os.fork()
    if child == 0:
        code = 1
        try:
            if os.geteuid() == 0:
                os.setuid(65534)  # root may read everything; nobody may not
            read_header(path)
        except PermissionError:
            code = 0
        finally:
            os._exit(code)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
