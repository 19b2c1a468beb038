"""Checkpoints: named arrays and a JSON state in one file."""

import hashlib
import math
import os
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

Arrays = dict[str, npt.NDArray[Any]]


def read_arrays(path: Path) -> Arrays:
    """The arrays of an archive, its file opened once: another may take its place meanwhile.

    Raises:
        ValueError, ...: it is damaged.
    """
    with path.open("rb") as file:
        with zipfile.ZipFile(file) as archive:
            _check_sizes(archive, os.fstat(file.fileno()).st_size)
            checksum = archive.comment
        file.seek(0)
        with np.load(file, allow_pickle=False) as members:
            arrays = {key: members[key] for key in members.files}
    # The first runs had none.
    if checksum and checksum != sha256_of(arrays).encode():
        raise ValueError("its content is not what was saved: another SHA-256")
    return arrays


def _check_sizes(archive: zipfile.ZipFile, size: int) -> None:
    """Check that no array takes more memory than the file has bytes, before any memory is taken.

    Raises:
        ValueError: there are packed members, which `Run.save` never writes, or arrays larger than their members.
    """
    members = archive.infolist()
    if any(member.compress_type != zipfile.ZIP_STORED for member in members):
        raise ValueError("it is packed; a checkpoint never is")
    if sum(member.file_size for member in members) > size:
        raise ValueError(f"it claims to hold more than its {size:,} bytes")
    for member in members:
        with archive.open(member) as file:
            version = np.lib.format.read_magic(file)
            read = {(1, 0): np.lib.format.read_array_header_1_0, (2, 0): np.lib.format.read_array_header_2_0}
            shape, _, dtype = read[version](file)
            if dtype.hasobject:
                raise ValueError(f"{member.filename}: objects, which are read with allow_pickle alone; it is off")
            if min(shape, default=0) < 0 or math.prod(shape) * dtype.itemsize != member.file_size - file.tell():
                raise ValueError(f"{member.filename}: shape {shape} does not fit its {member.file_size:,} bytes")


def sha256_of(arrays: Arrays) -> str:
    """A digest of names, shapes and values."""
    digest = hashlib.sha256()
    for name in sorted(arrays):
        value = np.ascontiguousarray(arrays[name])
        digest.update(f"{name} {value.dtype.str} {value.shape}\n".encode())
        digest.update(value.tobytes())
    return digest.hexdigest()
