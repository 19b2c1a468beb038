"""The folder of an exported run: ONNX graphs, vocabularies, a program that translates with them, a manifest and a README."""

import hashlib
import json
import os
import re
import tempfile
from collections.abc import Callable, Mapping
from dataclasses import asdict
from pathlib import Path
from types import MappingProxyType
from typing import Any

import numpy as np
import onnx

from wordseq.data.splits import HeldOut
from wordseq.evaluation.metrics.corpus import score_corpus
from wordseq.evaluation.metrics.references import rectangular
from wordseq.evaluation.metrics.symbols import target_symbols
from wordseq.evaluation.metrics.tokenizing import bleu_tokenizer
from wordseq.export import portable_text, translate
from wordseq.export.onnx_model import OnnxNetwork, build_decoder, build_encoder
from wordseq.runs.folder import BEST, RunFolder
from wordseq.runs.pack import pack_place, run_name
from wordseq.system.errors import UserError
from wordseq.system.files import encoded, naming, sync_folder, write_json
from wordseq.system.platform import commit
from wordseq.text.tokenizers import SentencePieceTokenizer, WordTokenizer
from wordseq.text.twins import Twins, sign_tables
from wordseq.text.vocab import SPECIALS, TextCodec, copied_ids

FORMAT = ("wordseq-onnx", 1)
"""Name and version of the format; a change of what `translate.py` reads is a new version."""

_GRAPHS: Mapping[bool, Mapping[str, str]] = MappingProxyType(
    {
        False: {"encoder": "encoder.onnx", "decoder": "decoder.onnx"},
        True: {"encoder": "encoder.int8.onnx", "decoder": "decoder.int8.onnx"},
    }
)
"""The files of the graphs; true: in int8."""

_IMPORT = re.compile(r"^(?:import|from) .*\n", re.MULTILINE)

_NEEDS = """\
try:
    {imports}
except ModuleNotFoundError as error:
    if __name__ != "__main__":
        raise
    install = f"python -m pip install -r {{Path(__file__).with_name('requirements.txt')}}"
    print(f"translate.py: error: {{error.name}} is not installed: {{install}}", file=sys.stderr)
    sys.exit(2)"""
"""The imports of the exported program that need an installation."""

_SCORES = ("bleu", "chrf", "ter", "exact", "ser", "cer")


def export_onnx(run: RunFolder, output: Path | None = None, say: Callable[[str], None] = print) -> Path:
    """Write a run as ONNX graphs with all that translating needs, into a new folder.

    Args:
        run: a trained run.
        output: the new folder; None: beside the run, as RUN-onnx.
        say: called with lines about what was written.

    Returns:
        The folder.

    Raises:
        UserError: the run is an ensemble or is not trained, a file of it is damaged, or `output` exists.
        OSError: the folder cannot be written; the error names it.
    """
    if run.members:
        raise UserError(f"{run.folder}: an ensemble has several models; export one of its runs")
    place = pack_place(run, output, "-onnx")
    with naming(place), tempfile.TemporaryDirectory(prefix=f".{place.name}.", dir=place.absolute().parent) as temporary:
        made = Path(temporary) / place.name
        made.mkdir()
        manifest = _write(run, made)
        os.rename(made, place)
    sync_folder(place.absolute().parent)
    for kind, model in manifest["models"].items():
        bleu = model["scores"].get("bleu")
        scored = f"held-out BLEU {bleu['score']:.2f}" if bleu else "not scored: the run has no test sentences"
        say(f"{place}: {kind}: {model['bytes'] / 1e6:.1f} MB, {scored}")
    return place


def _write(run: RunFolder, folder: Path) -> dict[str, Any]:
    """Write all files; returns the manifest."""
    arrays, _ = run.load(BEST)
    config, (src, tgt) = run.config, run.codecs
    copied = copied_ids(src, tgt) if config.model.copy else ()
    network = OnnxNetwork(config.model, config.train.loss, arrays, len(src.vocab), len(tgt.vocab), src.features, copied)
    for int8, names in _GRAPHS.items():
        encoder = build_encoder(network, int8=int8)
        onnx.save(encoder, folder / names["encoder"])
        onnx.save(build_decoder(network, encoder, int8=int8), folder / names["decoder"])
    sides = {"src": write_side(src, folder, "src"), "tgt": write_side(tgt, folder, "tgt")}
    (folder / "translate.py").write_text(program(), encoding="utf-8")
    pieces = any(about["sentencepiece"] for about in sides.values())
    needed = ["numpy", "onnxruntime", "regex", *["sentencepiece"] * pieces]
    (folder / "requirements.txt").write_text("".join(f"{name}\n" for name in needed), encoding="utf-8")
    manifest = _manifest(run) | sides
    _measure(run, folder, manifest)
    (folder / "README.md").write_bytes(encoded(_readme(manifest, encoder)))
    digests = {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in sorted(folder.iterdir())}
    manifest["sha256"] = {name: digest for name, digest in digests.items() if name != "manifest.json"}
    write_json(folder / "manifest.json", manifest)
    return manifest


def program() -> str:
    """The exported program: `translate` and `portable_text` in one file."""
    text, rest = (Path(str(module.__file__)).read_text(encoding="utf-8") for module in (portable_text, translate))
    head, rest = rest.split('"""\n', 1)
    body = text.split('"""\n', 1)[1]
    imports = {line.strip() for line in _IMPORT.findall(body + rest) if "wordseq" not in line}
    installed = {line for line in imports if line.split()[1] in ("numpy", "numpy.typing", "onnxruntime", "regex")}
    # As import lines are sorted by convention: "import" before "from".
    groups = [
        "\n".join(sorted(some, key=lambda line: line.startswith("from")))
        for some in (sorted(imports - installed), sorted(installed))
    ]
    groups[1] = _NEEDS.format(imports=groups[1].replace("\n", "\n    "))
    parts = [f'{head}"""', *groups, *(_IMPORT.sub("", part).strip() for part in (body, rest))]
    return "\n\n".join(parts[:3]) + "\n\n" + "\n\n\n".join(parts[3:]) + "\n"


def _manifest(run: RunFolder) -> dict[str, Any]:
    config = run.config
    decode, kind = config.decode, config.model.kind
    return {
        "format": list(FORMAT),
        "run": run_name(run),
        "wordseq": commit(),
        "checkpoint": run.header(BEST).sha256,
        "search": {
            "beam_size": decode.beam_size,
            "length_penalty": decode.length_penalty,
            "max_len_ratio": decode.max_len_ratio,
            "max_len_extra": decode.max_len_extra,
            "tgt_per_src": run.tgt_per_src,
            "batch_size": decode.batch_size,
            "same_length": kind == "same_length",
        },
        "lowercase": config.data.lowercase,
        "copies": config.model.copy,
        "replaces_unknown": config.model.attention != "none" and (decode.copy_unknown or config.model.copy),
        "models": {"int8" if int8 else "float32": dict(names) for int8, names in _GRAPHS.items()},
    }


def write_side(codec: TextCodec, folder: Path, side: str) -> dict[str, Any]:
    """Write the vocabulary and the SentencePiece model of `side`, "src" or "tgt"; returns the rest, for the manifest."""
    tokenizer, pieces = codec.tokenizer, ""
    codec.vocab.save(folder, side)
    if isinstance(tokenizer, SentencePieceTokenizer):
        pieces = f"{side}.spm.model"
        (folder / pieces).write_bytes(tokenizer.model)
    return {
        "level": tokenizer.level,
        "separator": tokenizer.separator if isinstance(tokenizer, WordTokenizer) else "",
        "sentencepiece": pieces,
        "form": codec.form,
        "written": codec.written,
        "feature_separator": codec.feature_separator,
        "twins": sign_tables() if codec.twins is Twins.ALL else None,
        "size": len(codec.vocab),
    }


def _measure(run: RunFolder, folder: Path, manifest: dict[str, Any]) -> None:
    """Add to the manifest what `translate.py --check` compares, and size and scores of each model."""
    write_json(folder / "manifest.json", manifest)
    held_out = _held_out(run)
    for kind, model in manifest["models"].items():
        translator = translate.OnnxTranslator(folder, int8=kind == "int8")
        if kind == "float32":
            ids = np.random.default_rng(1).integers(len(SPECIALS), manifest["src"]["size"], 6).tolist()
            manifest["check"] = translator.checked(ids)
        model["bytes"] = sum((folder / model[part]).stat().st_size for part in ("encoder", "decoder"))
        model["scores"] = _scores(run, held_out, translator(held_out.sources)) if held_out else {}


def _held_out(run: RunFolder) -> HeldOut | None:
    """The test split; None for a run that was packed without it."""
    try:
        return run.held_out("test")
    except UserError:
        if run.packed:
            return None
        raise


def _scores(run: RunFolder, held_out: HeldOut, lines: list[str]) -> dict[str, Any]:
    hyps = list(map(run.codecs[1].stored, lines))
    tokenize = bleu_tokenizer(run.config, held_out.references)
    symbols = target_symbols(run.config.data)
    found = score_corpus(hyps, rectangular(held_out.references), tokenize=tokenize, symbols=symbols)
    return {key: {**asdict(found[key]), "ci95": list(found[key].ci95)} for key in _SCORES}


def _readme(manifest: Mapping[str, Any], encoder: onnx.ModelProto) -> str:
    rows = "".join(
        f"| {kind} | `{model['encoder']}`, `{model['decoder']}` | {model['bytes'] / 1e6:.1f} MB | {_bleu(model)} |\n"
        for kind, model in manifest["models"].items()
    )
    # Below the table, because it has the sign that ends a cell.
    scores = [model["scores"] for model in manifest["models"].values()]
    signatures = {found["bleu"]["signature"] for found in scores if "bleu" in found}
    memory = ", ".join(f"`{each.name}`" for each in encoder.graph.output if not each.name.startswith("state_"))
    return _README.format(
        run=manifest["run"],
        rows=rows.rstrip(),
        signature="".join(f"\nThe signature of BLEU is `{each}`.\n" for each in sorted(signatures)),
        memory=memory or "none",
        version=manifest["wordseq"],
        format=json.dumps(manifest["format"]),
    )


def _bleu(model: Mapping[str, Any]) -> str:
    bleu = model["scores"].get("bleu")
    return f"{bleu['score']:.2f}" if bleu else "not scored"


_README = """\
# {run}, as ONNX

A recurrent sequence-to-sequence model, exported by wordseq {version}. It needs neither wordseq nor TensorFlow.

    python -m pip install -r requirements.txt
    python translate.py --input sentences.txt --output translations.txt
    echo 'one sentence' | python translate.py --beam 5

`translate.py` writes one line for each line that it reads. It is a part of wordseq, under the Apache-2.0 licence. `--int8`
takes the 8-bit model, `--check` compares the files with `manifest.json`. In Python:
`from translate import OnnxTranslator; OnnxTranslator()(["a text"])`.

| model | graphs | size | BLEU on the held-out test split |
|:--|:--|--:|:--|
{rows}
{signature}
## For programs in other languages

Operators are those of ONNX opset 17. In the int8 graphs matrices are stored in 8 bits. The vectors that they multiply are
rounded to 8 bits at run time, each with a scale of its own.

- Encoder: `src_ids` int32 `[batch, source]`, each row with 3 (`</s>`) at its end and then 0. Its outputs are what the decoder
  reads: the first states `state_0`, `state_1`, ..., and the memory of the sentence: {memory}.
- Decoder, one step of k hypotheses per sentence: `last_ids` int32 `[batch, k]` (at first 2, `<s>`), `count` int64 `[1]`, the
  memory, and the states `[batch, k, ...]`. It returns the `count` most probable next tokens, `ids` and `log_probs`
  `[batch, k, count]`, best first; `end_log_probs` `[batch, k]` of `</s>`; `next_state_0`, ..., the states of the next step; and
  `weights`, the attention, if the model has attention.
- Ids 0 to 3 are `<pad>`, `<unk>`, `<s>`, `</s>`; the others are the tokens of `src.vocab.json` and `tgt.vocab.json` in order.
- `manifest.json` has the format {format}, the settings of the search and of the text, the scores, and the SHA-256 of each file.
"""
