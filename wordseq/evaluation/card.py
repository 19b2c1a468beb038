"""The card of a packed run: what the model is, what it was trained on, its scores, and how it is used, in Markdown."""

import hashlib
from collections.abc import Iterable
from typing import Any

from wordseq.config.load import config_to_dict
from wordseq.data.public import find_dataset
from wordseq.data.synthetic import SYNTHETIC
from wordseq.evaluation.about import data_languages
from wordseq.evaluation.records import level_name
from wordseq.evaluation.tables import escape_markdown, markdown_table, one_line, score_rows, signatures
from wordseq.runs.checkpoint import checkpoint_bytes, sha256_of
from wordseq.runs.folder import EVAL_FOLDER
from wordseq.runs.pack import Pack
from wordseq.system.errors import UserError
from wordseq.system.progress import counted

UNKNOWN_LICENCE = "not known to wordseq; fill in"


def model_card(pack: Pack) -> str:
    """The text of a packed run's card.

    Raises:
        UserError: eval/test.json is damaged.
    """
    parts = [
        f"# {escape_markdown(pack.name)}",
        "A recurrent sequence-to-sequence model in the run folder format of wordseq.",
        "## Model",
        _rows(_model(pack)),
        "## Training data",
        _rows(_data(pack)),
        "The vocabularies (`src.*`, `tgt.*`) list tokens of the training data.",
        "## Scores on held-out sentences",
        _scores(pack),
        "## Use",
        _use(pack),
    ]
    return "\n\n".join(parts) + "\n"


def _use(pack: Pack) -> str:
    if not pack.codecs[0].feature_separator:
        return _USE.format(typed='"a text"', text='"a text"', input="")
    example = pack.codecs[0].feature_separator.join(("V", "PST", "SG"))
    note = f"A source is a word, a TAB and its features, also in files: the line `gehen<TAB>{example}`.\n\n"
    return _USE.format(typed=f"$'gehen\\t{example}'", text=f'("gehen", "{example}")', input=note)


_USE = """\
{input}wordseq and TensorFlow: `pip install 'wordseq[cpu]'`. In the folder of this file:

```
wordseq translate . {typed}
wordseq translate . --input lines.txt --output out.txt
wordseq eval . --src sources.txt --ref references.txt
wordseq describe .
```

```python
import wordseq

run = wordseq.load(".")
run.translate([{text}])
```

A packed run cannot be trained further: it has no optimizer state and no training data."""


def licence_known(pack: Pack) -> bool:
    """Whether the training data are a corpus whose licence wordseq has."""
    corpus = pack.config.data.corpus
    return corpus in SYNTHETIC or find_dataset(corpus) is not None


def _rows(rows: Iterable[tuple[str, str]]) -> str:
    return markdown_table(("", ""), rows)


def _model(pack: Pack) -> list[tuple[str, str]]:
    model, data = pack.config.model, pack.config.data
    encoder = counted(model.encoder_layers, f"{'bidirectional ' if model.bidirectional else ''}layer")
    rows = [("Architecture", model.kind), ("Cell", model.cell)]
    if model.kind == "same_length":
        rows += [("Layers", encoder)]
    else:
        rows += [("Encoder", encoder), ("Decoder", counted(model.decoder_layers, "layer"))]
        rows += [("Attention", model.attention)]
    rows += [
        ("Units", f"embeddings {model.embed_dim}, hidden {model.hidden_size}"),
        ("Token level", level_name(config_to_dict(pack.config)["data"])),
        ("Vocabulary", " and ".join(f"{len(codec.vocab):,} {side} ids" for side, codec in _sides(pack))),
        ("Parameters", f"{sum(array.size for array in pack.arrays.values()):,}"),
    ]
    if separator := pack.codecs[0].feature_separator:
        rows += [("Features of a source", f"{pack.codecs[0].features:,}, separated by {escape_markdown(separator)}")]
    if languages := data_languages(data):
        rows += [("Languages", " to ".join(map(escape_markdown, languages)))]
    if isinstance(step := pack.state.get("step"), int):
        rows += [("Training", counted(step, "update"))]
    versions = [("Trained with wordseq", "trained_with"), ("Packed with wordseq", "wordseq")]
    rows += [(label, escape_markdown(pack.versions[key])) for label, key in versions if key in pack.versions]
    content = checkpoint_bytes(pack.arrays, pack.state)
    return [
        *rows,
        ("SHA-256 of `best.safetensors`", f"`{hashlib.sha256(content).hexdigest()}`"),
        ("SHA-256 of the weights, as `wordseq describe` prints it", f"`{sha256_of(pack.arrays)}`"),
    ]


def _sides(pack: Pack) -> Iterable[tuple[str, Any]]:
    return zip(("source", "target"), pack.codecs, strict=True)


def _data(pack: Pack) -> list[tuple[str, str]]:
    data, sizes = pack.config.data, pack.split
    rows = [("Data", escape_markdown(data.corpus or data.train))]
    if data.swap:
        rows += [("Direction", "source and target are exchanged (`data.swap`)")]
    rows += [
        (label, f"{number:,}")
        for label, part, key in (
            ("Training pairs", "train", "pairs"),
            ("Dev sources", "dev", "sources"),
            ("Test sources", "test", "sources"),
        )
        if isinstance(number := sizes[part].get(key), int)
    ]
    if data.corpus in SYNTHETIC:
        return [*rows, ("Description", SYNTHETIC[data.corpus].description), ("Licence", "Apache-2.0, that of wordseq")]
    dataset = find_dataset(data.corpus)
    if dataset is None:
        return [*rows, ("Licence of the data", UNKNOWN_LICENCE)]
    return [
        *rows,
        ("Description", escape_markdown(dataset.description)),
        ("Licence of the data", dataset.licence),
        ("Attribution", escape_markdown(dataset.attribution)),
        ("Homepage", dataset.homepage),
    ]


def _scores(pack: Pack) -> str:
    found = pack.evaluation
    if found is None:
        return (
            "There are no scores of this checkpoint. `wordseq eval RUN` makes them, where RUN is the run that was packed; "
            "then pack it again."
        )
    try:
        # Not in the table: a bar in a signature would end its cell.
        signed = "\n".join(f"{name}: {one_line(signature)}" for name, signature in signatures(found))
        table = markdown_table(("Metric", "Score", "95 % interval"), score_rows(found))
        sizes = f"{counted(found['sentences'], 'sentence')} with {counted(found['references'], 'reference')}"
        notes = [escape_markdown(str(note)) for note in found.get("notes", [])]
    except (KeyError, IndexError, TypeError, ValueError) as error:
        path = pack.run.folder / EVAL_FOLDER / "test.json"
        raise UserError(f"{path}: damaged: {error!r}; `wordseq eval {pack.run.folder}` makes it again") from None
    search = f", beam size {found['beam_size']}" if "beam_size" in found else ""
    made = [("wordseq", found.get("commit")), ("command", found.get("command"))]
    lines = "\n".join([signed, *(f"{label}: {one_line(str(value))}" for label, value in made if value)])
    return "\n\n".join([f"{sizes}{search}.", table, *notes, f"```\n{lines}\n```"])
