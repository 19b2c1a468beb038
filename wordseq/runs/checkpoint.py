"""The file of a checkpoint: arrays and a JSON state in one safetensors file, with a SHA-256 of both."""

import contextlib
import hashlib
import json
import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from safetensors import safe_open
from safetensors.numpy import save

Arrays = dict[str, npt.NDArray[Any]]

ENDING = ".safetensors"

METADATA_KEY = "wordseq"
"""One key, because safetensors writes several in a random order, and equal checkpoints must be equal files."""


@dataclass(frozen=True)
class Header:
    """What a checkpoint says of itself; reading it does not read the arrays.

    Attributes:
        state: what was saved beside the arrays.
        sha256: of the arrays and the state.
        shapes: of the arrays, in the order in which they were given.
    """

    state: dict[str, Any]
    sha256: str
    shapes: dict[str, tuple[int, ...]]

    @property
    def parameters(self) -> int:
        """Numbers in all arrays."""
        return sum(map(math.prod, self.shapes.values()))


def checkpoint_bytes(arrays: Arrays, state: Mapping[str, Any]) -> bytes:
    """The content of a checkpoint's file; the same for the same arrays and JSON-able state."""
    about = {"state": state, "sha256": _checksum(arrays, state), "names": list(arrays)}
    contiguous = {name: np.asarray(value, order="C") for name, value in arrays.items()}
    return save(contiguous, {METADATA_KEY: json.dumps(about)})


def read_header(path: Path) -> Header:
    """The header of a checkpoint.

    Raises:
        OSError: the file is missing or cannot be read.
        SafetensorError, ValueError, ...: it is damaged.
    """
    with _opened(path) as file:
        return _header(file)


def read_checkpoint(path: Path) -> tuple[Arrays, dict[str, Any]]:
    """Arrays and state of a checkpoint. If its file is replaced meanwhile, they are those of the file before.

    Raises:
        OSError: the file is missing or cannot be read.
        SafetensorError, ValueError, ...: it is damaged.
    """
    with _opened(path) as file:
        header = _header(file)
        arrays = {name: file.get_tensor(name) for name in header.shapes}
    if header.sha256 != _checksum(arrays, header.state):
        raise ValueError("its content is not what was saved: another SHA-256")
    return arrays, header.state


@contextlib.contextmanager
def _opened(path: Path) -> Iterator[Any]:
    """The file, once its header fits its size."""
    # safe_open reports a file that may not be read as missing.
    path.open("rb").close()
    with safe_open(path, framework="numpy") as file:
        yield file


def _header(file: Any) -> Header:
    about = json.loads((file.metadata() or {}).get(METADATA_KEY, "null"))
    if not isinstance(about, dict) or not isinstance(about.get("state"), dict):
        raise TypeError("there is no state in its header")
    shapes = {name: tuple(file.get_slice(name).get_shape()) for name in about["names"]}
    if shapes.keys() != set(file.keys()):
        raise ValueError("its header does not name all its arrays")
    return Header(about["state"], about["sha256"], shapes)


def _checksum(arrays: Arrays, state: Mapping[str, Any]) -> str:
    return sha256_of({**arrays, "state.json": np.frombuffer(json.dumps(state).encode(), np.uint8)})


def sha256_of(arrays: Arrays) -> str:
    """A digest of names, shapes and values."""
    digest = hashlib.sha256()
    for name in sorted(arrays):
        value = np.ascontiguousarray(arrays[name])
        digest.update(f"{name} {value.dtype.str} {value.shape}\n".encode())
        digest.update(value.tobytes())
    return digest.hexdigest()
