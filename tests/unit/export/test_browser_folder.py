"""The folder of a page that translates in the browser: its files, and where onnxruntime-web comes from."""

import hashlib
import io
import json
import re
import sys
import tarfile
import unicodedata
from pathlib import Path

import pytest

from tests.fake_runs import few_draws
from tests.random_runs import random_run
from wordseq.data.download import Limits
from wordseq.export.browser import folder, runtime
from wordseq.export.browser.folder import SERVICE_WORKER, export_web
from wordseq.export.browser.runtime import RUNTIME, registry, runtime_files
from wordseq.export.onnx_folder import export_onnx
from wordseq.runs.folder import RunFolder
from wordseq.system.errors import UserError
from wordseq.text.twins import _plain, plain_forms

CONTENT = {"onnxruntime.js": b"export const env = {};\n", "onnxruntime.wasm": b"\0asm"}


@pytest.fixture
def package(tmp_path, monkeypatch):
    """A mirror with a small package in place of the real one; the working directory is empty."""
    members = {name: member for name, (member, _) in runtime._FILES.items()}
    known = {name: (members[name], hashlib.sha256(content).hexdigest()) for name, content in CONTENT.items()}
    monkeypatch.setattr(runtime, "_FILES", known)
    monkeypatch.delenv("WORDSEQ_MIRROR", raising=False)
    (tmp_path / "mirror").mkdir()
    with tarfile.open(tmp_path / "mirror" / f"{RUNTIME}.tgz", "w:gz") as archive:
        for name, content in CONTENT.items():
            entry = tarfile.TarInfo(members[name])
            entry.size = len(content)
            archive.addfile(entry, io.BytesIO(content))
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    return tmp_path / "mirror"


# --- onnxruntime-web


def test_the_runtime_is_taken_once_from_a_mirror_and_checked_each_time(package, monkeypatch):
    said = []
    assert runtime_files(package, said.append) == CONTENT
    assert said == [f"{RUNTIME} (MIT licence): stored in data/{RUNTIME}"]
    (package / f"{RUNTIME}.tgz").rename(package / "elsewhere")
    assert runtime_files(None, said.append) == CONTENT
    assert len(said) == 1
    Path("data", RUNTIME, "onnxruntime.wasm").write_bytes(b"damaged")
    with pytest.raises(UserError, match=rf"{RUNTIME}.tgz: no such file in the mirror"):
        runtime_files(package, said.append)
    (package / "elsewhere").rename(package / f"{RUNTIME}.tgz")
    monkeypatch.setenv("WORDSEQ_MIRROR", str(package))
    assert runtime_files(None, said.append) == CONTENT


def test_a_runtime_that_is_not_the_published_one_is_refused(package, monkeypatch):
    wrong = {name: (member, "0" * 64) for name, (member, _) in runtime._FILES.items()}
    monkeypatch.setattr(runtime, "_FILES", wrong)
    with pytest.raises(UserError, match=r"onnxruntime\.js is not the published file; nothing was stored"):
        runtime_files(package)
    (package / f"{RUNTIME}.tgz").write_bytes((package / f"{RUNTIME}.tgz").read_bytes()[:60])
    with pytest.raises(UserError, match="not a complete package"):
        runtime_files(package)
    assert not Path("data").exists()


def test_without_a_mirror_the_registry_of_npm_is_asked(package, monkeypatch, tmp_path):
    programs = tmp_path / "programs"
    programs.mkdir()
    monkeypatch.setenv("PATH", str(programs))
    monkeypatch.delenv("npm_config_registry", raising=False)
    with pytest.raises(UserError, match=rf"^no npm registry is known to take {RUNTIME} from: .* with --mirror$"):
        runtime_files()
    monkeypatch.setenv("npm_config_registry", "http://127.0.0.1:9/")
    said = []
    with pytest.raises(UserError, match=rf"^http://127.0.0.1:9/onnxruntime-web/-/{RUNTIME}.tgz: connection failed"):
        runtime_files(None, said.append, limits=Limits(attempts=1))
    assert said == [f"downloading http://127.0.0.1:9/onnxruntime-web/-/{RUNTIME}.tgz (33 MB), once"]
    # npm knows more places than the variable.
    npm = programs / "npm"
    npm.write_text('#!/bin/sh\n[ "$*" = "config get registry" ] && echo https://one.example/npm/\n')
    npm.chmod(0o755)
    assert registry() == "https://one.example/npm"


# --- the folder


@pytest.fixture(scope="module")
def run(tmp_path_factory) -> RunFolder:
    return random_run(tmp_path_factory.mktemp("web") / "run", "data.level=bpe")


def test_a_folder_has_all_that_the_page_needs_and_nothing_from_elsewhere(run, package):
    said = []
    with few_draws():
        made = export_web(run, Path("made"), mirror=package, say=said.append)
        onnx = export_onnx(run, Path("onnx"), lambda line: None)
    assert re.fullmatch(r"made: int8: \d+\.\d MB, held-out BLEU [\d.]+", said[-1])
    assert {path.name: path.read_bytes() for path in made.iterdir() if path.name in CONTENT} == CONTENT
    assert (made / "decoder.onnx").read_bytes() == (onnx / "decoder.int8.onnx").read_bytes()
    script = (made / SERVICE_WORKER).read_text(encoding="utf-8")
    listed = json.loads(re.search(r"FILES = (\{.*?\n\});", script, re.DOTALL)[1])
    others = {path.name for path in made.iterdir()} - {SERVICE_WORKER, "README.md", "onnxruntime-license.txt"}
    assert set(listed) == others
    for name, file in listed.items():
        content = (made / name).read_bytes()
        assert file == {"sha256": hashlib.sha256(content).hexdigest(), "bytes": len(content)}
    page = (made / "index.html").read_text(encoding="utf-8")
    assert set(re.findall(r'(?:src|href)="([^"]*)"', page)) == {"data:,", "page.css", "ask.js", "page.js"}
    assert f'content="{folder.POLICY_WEB}"' in page
    for path in made.glob("*.js"):
        if path.name not in CONTENT:
            text = path.read_text(encoding="utf-8")
            assert "://" not in text
            assert set(re.findall(r'from "\./([^"]*)"', text)) <= set(listed)
    manifest = json.loads((made / "manifest.json").read_text(encoding="utf-8"))
    assert manifest["about"]["scores"]["metrics"][0]["name"] == "BLEU"
    assert [one["code"] for one in manifest["languages"]] == [manifest["about"][side] for side in ("source", "target")]
    # The scripts are written again: another content is another version.
    (made / "encoder.onnx").write_bytes(b"x")
    folder.write_site(made, manifest)
    again = (made / SERVICE_WORKER).read_text(encoding="utf-8")
    assert len({re.search('VERSION = "(.*)"', text)[1] for text in (script, again)}) == 2


def test_float32_is_a_choice_and_what_fails_leaves_nothing(run, package):
    with few_draws():
        made = export_web(run, Path("made"), "float32", package, lambda line: None)
        onnx = export_onnx(run, Path("onnx"), lambda line: None)
        assert (made / "encoder.onnx").read_bytes() == (onnx / "encoder.onnx").read_bytes()
        with pytest.raises(UserError, match="exists"):
            export_web(run, made, mirror=package)
        Path("data", RUNTIME, "onnxruntime.js").unlink()
        with pytest.raises(UserError, match="no such file"):
            export_web(run, Path("other"), mirror=Path("nowhere"))
    assert {path.name for path in Path().iterdir()} == {"made", "onnx", "data"}


def test_plain_forms_are_those_that_are_read():
    forms = plain_forms()
    assert (forms["Ａ"], forms["ﬁ"], forms["٣"]) == ("A", "fi", "3")
    assert not {"²", "①", "é", "a"} & set(forms)
    assert all(_plain(char) == plain for char, plain in forms.items())
    beyond = map(chr, range(max(map(ord, forms)) + 1, sys.maxunicode + 1))
    assert not any("<" in unicodedata.decomposition(char) or char.isdecimal() for char in beyond)
