"""The formats of `wordseq export` by name."""

import importlib.util
from collections.abc import Callable, Mapping
from pathlib import Path
from types import MappingProxyType

from wordseq.runs.folder import RunFolder
from wordseq.system.errors import UserError
from wordseq.system.tensorflow import import_tensorflow

_Say = Callable[[str], None]


def _check_onnx(name: str) -> None:
    missing = [library for library in ("onnx", "onnxruntime") if importlib.util.find_spec(library) is None]
    if missing:
        which = f"{' and '.join(missing)}, which {'are' if missing[1:] else 'is'} not installed"
        raise UserError(f"the format {name} needs {which}: python -m pip install 'wordseq[export]'")


def _onnx(run: RunFolder, output: Path | None, say: _Say, precision: str | None, mirror: Path | None) -> Path:
    _check_onnx("onnx")
    from wordseq.export.onnx_folder import export_onnx

    return export_onnx(run, output, say)


def _web(run: RunFolder, output: Path | None, say: _Say, precision: str | None, mirror: Path | None) -> Path:
    _check_onnx("web")
    from wordseq.export.browser.folder import export_web

    return export_web(run, output, precision or "int8", mirror, say)


def _saved_model(run: RunFolder, output: Path | None, say: _Say, precision: str | None, mirror: Path | None) -> Path:
    import_tensorflow()
    from wordseq.export.saved_model import export_saved_model

    return export_saved_model(run, output, say)


EXPORT_FORMATS: Mapping[str, Callable[..., Path]] = MappingProxyType(
    {"onnx": _onnx, "web": _web, "saved_model": _saved_model}
)


def export_run(
    run: RunFolder,
    output: Path | None,
    name: str,
    say: _Say = print,
    *,
    precision: str | None = None,
    mirror: Path | None = None,
) -> Path:
    """Write a run in a format; see `onnx_folder.export_onnx`, `saved_model.export_saved_model`, `browser.folder.export_web`.

    Args:
        run: a trained run.
        output: the new folder; None: beside the run.
        name: of the format.
        say: called with lines about what was written.
        precision: web: of the weights, "int8" or "float32".
        mirror: web: a folder that has the runtime.

    Raises:
        UserError: no such format, an argument of another one, a library is missing, or the run cannot be exported.
    """
    if name not in EXPORT_FORMATS:
        raise UserError(f"unknown format {name!r}; choose from {', '.join(EXPORT_FORMATS)}")
    for argument, value in (("precision", precision), ("mirror", mirror)):
        if value is not None and name != "web":
            raise UserError(f"--{argument} is for --format web, got --format {name}")
    return EXPORT_FORMATS[name](run, output, say, precision, mirror)
