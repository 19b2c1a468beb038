"""The folder of `wordseq export --format web`: page, scripts, onnxruntime-web, graphs and vocabularies of a run."""

import hashlib
import json
import os
import re
import tempfile
from collections.abc import Callable, Mapping
from importlib.resources import files
from pathlib import Path
from typing import Any

from wordseq.evaluation.about import about_run, display_name, language_names, page_scores, run_languages
from wordseq.evaluation.metrics.symbols import target_symbols, task_of
from wordseq.export.browser.runtime import RUNTIME, runtime_files
from wordseq.export.onnx_folder import export_onnx
from wordseq.runs.folder import RunFolder
from wordseq.runs.pack import pack_place
from wordseq.system.files import encoded, naming, sync_folder, write_json
from wordseq.text.tokenizers import SentencePieceTokenizer
from wordseq.text.twins import plain_forms
from wordseq.text.vocab import TextCodec

FORMAT_WEB = ("wordseq-web", 1)
"""Name and version of what `translator.js` reads."""

POLICY_WEB = "; ".join(
    (
        "default-src 'none'",
        "script-src 'self' 'wasm-unsafe-eval'",
        *(f"{what}-src 'self'" for what in ("style", "connect", "worker")),
        "img-src data:",
        *(f"{what} 'none'" for what in ("base-uri", "form-action")),
        "require-trusted-types-for 'script'",
        "trusted-types wordseq",
    )
)
"""The page's content security policy: the files of its folder, nothing inline, no markup from strings."""

SITE = Path(str(files("wordseq") / "export" / "browser" / "site"))
"""The scripts."""

SERVICE_WORKER = "service-worker.js"


def export_web(
    run: RunFolder,
    output: Path | None = None,
    precision: str = "int8",
    mirror: Path | None = None,
    say: Callable[[str], None] = print,
) -> Path:
    """Write a run as a new folder for web servers; its page translates in the browser.

    Args:
        run: a trained run.
        output: the new folder; None: beside the run, as RUN-web.
        precision: of the graphs, "int8" or "float32".
        mirror: see `runtime_files`.
        say: called with lines about what was written.

    Returns:
        The folder.

    Raises:
        UserError: see `export_onnx` and `runtime_files`.
        OSError: the folder cannot be written; the error names it.
    """
    place = pack_place(run, output, "-web")
    with naming(place), tempfile.TemporaryDirectory(prefix=f".{place.name}.", dir=place.absolute().parent) as temporary:
        exported = export_onnx(run, Path(temporary) / "onnx", lambda line: None)
        made = Path(temporary) / place.name
        made.mkdir()
        for name, content in runtime_files(mirror, say).items():
            (made / name).write_bytes(content)
        manifest = _write_model(run, exported, made, precision)
        write_site(made, manifest)
        os.rename(made, place)
    sync_folder(place.absolute().parent)
    size = sum(file.stat().st_size for file in place.iterdir())
    scores = manifest["about"]["scores"]
    scored = ", ".join(f"{one['name']} {one['score']:.2f}" for one in scores["metrics"][:1]) if scores else "not scored"
    say(f"{place}: {precision}: {size / 1e6:.1f} MB, held-out {scored}")
    return place


def _write_model(run: RunFolder, exported: Path, folder: Path, precision: str) -> dict[str, Any]:
    """Write graphs, vocabularies and manifest; returns the manifest."""
    found = json.loads((exported / "manifest.json").read_text(encoding="utf-8"))
    graphs = found["models"][precision]
    for part in ("encoder", "decoder"):
        (folder / f"{part}.onnx").write_bytes((exported / graphs[part]).read_bytes())
    for side in ("src", "tgt"):
        (folder / f"{side}.vocab.json").write_bytes((exported / f"{side}.vocab.json").read_bytes())
    languages, names = run_languages(run), language_names()
    kept = ("wordseq", "checkpoint", "search", "lowercase", "copies", "replaces_unknown")
    manifest = {
        "format": list(FORMAT_WEB),
        **{key: found[key] for key in kept},
        **{
            side: write_web_side(found[side], codec, folder, side)
            for side, codec in zip(("src", "tgt"), run.codecs, strict=True)
        },
        "graphs": {part: f"{part}.onnx" for part in ("encoder", "decoder")},
        "about": {
            **languages._asdict(),
            **about_run(run),
            "precision": precision,
            "scores": _scores(run, graphs["scores"]),
        },
        "languages": [{"code": code, "name": display_name(code, names)} for code in languages],
    }
    write_json(folder / "manifest.json", manifest)
    return manifest


def write_web_side(found: Mapping[str, Any], codec: TextCodec, folder: Path, side: str) -> dict[str, Any]:
    """The part of the manifest on `side`, from that of an ONNX export; writes the scores of the subwords.

    Args:
        found: what `write_side` returns.
        codec: of the side.
        folder: for the file of scores.
        side: "src" or "tgt".
    """
    about = {key: value for key, value in found.items() if key != "sentencepiece"} | {"pieces": ""}
    if isinstance(codec.tokenizer, SentencePieceTokenizer):
        about["pieces"] = f"{side}.pieces.json"
        write_json(folder / about["pieces"], codec.tokenizer.scores)
    if about["twins"]:
        about["twins"] = {**about["twins"], "plain": plain_forms()}
    return about


def _scores(run: RunFolder, found: Mapping[str, Any]) -> dict[str, Any] | None:
    """The scores of the exported graphs in the form of the page."""
    if not found:
        return None
    held_out = run.held_out("test")
    task = task_of(target_symbols(run.config.data), held_out.references)
    return page_scores({"task": task, **found}, len(held_out.sources))


def write_site(folder: Path, manifest: Mapping[str, Any]) -> None:
    """Write page, scripts and README, and last the service worker, which knows the other files."""
    shared = files("wordseq") / "serving" / "page"
    for name in ("page.css", "page.js"):
        (folder / name).write_bytes((shared / name).read_bytes())
    for file in SITE.iterdir():
        if file.name.endswith((".js", ".txt")) and file.name != SERVICE_WORKER:
            (folder / file.name).write_bytes(file.read_bytes())
    (folder / "index.html").write_bytes(encoded(_page((shared / "page.html").read_text(encoding="utf-8"))))
    kept = {
        path.name: {"sha256": hashlib.sha256(path.read_bytes()).hexdigest(), "bytes": path.stat().st_size}
        for path in sorted(folder.iterdir())
        if path.suffix not in (".txt", ".md") and path.name != SERVICE_WORKER
    }
    listed = json.dumps(kept, indent=1)
    version = hashlib.sha256(listed.encode()).hexdigest()[:16]
    script = (SITE / SERVICE_WORKER).read_text(encoding="utf-8")
    (folder / SERVICE_WORKER).write_bytes(encoded(f'const VERSION = "{version}";\nconst FILES = {listed};\n\n{script}'))
    readme = _README.format(name=manifest["about"]["name"], version=manifest["wordseq"], runtime=RUNTIME)
    (folder / "README.md").write_bytes(encoded(readme))


def _page(html: str) -> str:
    """The page of `wordseq serve` for a model in the browser."""
    for old, new in (
        (r'(?=<link rel="icon")', f'<meta http-equiv="Content-Security-Policy" content="{POLICY_WEB}">\n'),
        (r"<noscript>.*?</noscript>", '<noscript><p class="message">This page needs JavaScript.</p></noscript>'),
        (r"<footer>.*?</footer>", _FOOTER),
    ):
        place = re.search(old, html, re.DOTALL)
        if place is None:
            raise ValueError(f"page.html has no {old}")
        html = html[: place.start()] + new + html[place.end() :]
    return html


_FOOTER = """\
<footer><p>The model runs in this browser: no text leaves it. <span id="kept"></span></p></footer>"""

_README = """\
# {name}, in the browser

Any web server can serve this folder. Its page translates on the machine of the visitor, without a network after the first
visit. On this machine:

    python -m http.server --directory .

Browsers keep files for use without a network only of `https` pages, and of `localhost`. The folder needs no special headers.
A server that compresses `.wasm`, `.onnx`, `.json` and `.js` files saves most of the download.

In a page of your own, from the same server:

    import {{ Translator }} from "./translator.js";
    const translator = await Translator.load();
    await translator.translate(["a sentence", "another one"]);

Made by wordseq {version}. `onnxruntime.js` and `onnxruntime.wasm` are of {runtime}, whose licence is in
`onnxruntime-license.txt`.
"""
