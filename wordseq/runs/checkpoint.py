"""Checkpoint files: arrays and a JSON state in one safetensors file, with a SHA-256 of both."""

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
"""The only key of the metadata: safetensors writes several keys in random order, but equal checkpoints must be equal files."""


@dataclass(frozen=True)
class Header:
    """The header of a checkpoint, which can be read without the arrays.

    Attributes:
        state: JSON state that was saved with the arrays.
        sha256: SHA-256 of arrays and state, in hex.
        shapes: shapes of the arrays by name, in the order of saving.
    """

    state: dict[str, Any]
    sha256: str
    shapes: dict[str, tuple[int, ...]]

    @property
    def parameters(self) -> int:
        """Number of values in all arrays."""
        return sum(map(math.prod, self.shapes.values()))


def checkpoint_bytes(arrays: Arrays, state: Mapping[str, Any]) -> bytes:
    """The content of a checkpoint file; equal arrays and states give equal bytes."""
    # "names", because safetensors sorts the arrays by type and name, while `describe` lists layers in the model's order.
    about = {"state": state, "sha256": _checksum(arrays, state), "names": list(arrays)}
    # safetensors writes the memory of an array as it is, so a transposed view would be saved wrongly.
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
    """Arrays and state of a checkpoint; all from one file, even if a training process replaces it meanwhile.

    Raises:
        OSError: the file is missing or cannot be read.
        SafetensorError, ValueError, ...: it is damaged.
    """
    with _opened(path) as file:
        header = _header(file)
        arrays = {name: file.get_tensor(name) for name in header.shapes}
    if header.sha256 != _checksum(arrays, header.state):
        raise ValueError("its SHA-256 differs from that of the saved content")
    return arrays, header.state


@contextlib.contextmanager
def _opened(path: Path) -> Iterator[Any]:
    """The open file; safetensors checks that the header fits the size of the file before it allocates memory."""
    # safe_open reports a file without read permission as missing; opening it here raises PermissionError.
    path.open("rb").close()
    with safe_open(path, framework="numpy") as file:
        yield file


def _header(file: Any) -> Header:
    about = json.loads((file.metadata() or {}).get(METADATA_KEY, "null"))
    if not isinstance(about, dict) or not isinstance(about.get("state"), dict):
        raise TypeError("its header has no state")
    shapes = {name: tuple(file.get_slice(name).get_shape()) for name in about["names"]}
    # Arrays outside the list would not be covered by the checksum.
    if shapes.keys() != set(file.keys()):
        raise ValueError("its header does not name all its arrays")
    return Header(about["state"], about["sha256"], shapes)


def _checksum(arrays: Arrays, state: Mapping[str, Any]) -> str:
    return sha256_of({**arrays, "state.json": np.frombuffer(json.dumps(state).encode(), np.uint8)})


def sha256_of(arrays: Arrays) -> str:
    """A SHA-256, in hex, of names, types, shapes and values; the order of the arrays has no effect."""
    digest = hashlib.sha256()
    for name in sorted(arrays):
        # Type and shape too: a reshaped array has the same bytes.
        value = np.ascontiguousarray(arrays[name])
        digest.update(f"{name} {value.dtype.str} {value.shape}\n".encode())
        digest.update(value.tobytes())
    return digest.hexdigest()
