"""What a page tells of a run: its languages, its model and its held-out scores."""

import tomllib
from collections.abc import Mapping
from importlib.resources import files
from typing import Any, NamedTuple

from wordseq.config.data import DataConfig
from wordseq.config.load import config_to_dict
from wordseq.data.public import find_dataset
from wordseq.data.synthetic import SYNTHETIC
from wordseq.evaluation.metrics.names import main_metrics
from wordseq.evaluation.records import level_name
from wordseq.runs.combine import combination_note
from wordseq.runs.folder import BEST, EVAL_FOLDER, PACK_FILE, SPLIT_FILE, RunFolder
from wordseq.system.errors import UserError

DEFAULT_CODES = ("src", "tgt")
"""Languages of a run that names none."""


class Languages(NamedTuple):
    """Codes of what a run reads and writes."""

    source: str
    target: str


def run_languages(run: RunFolder) -> Languages:
    """The languages of a run, else `DEFAULT_CODES`."""
    return data_languages(run.config.data) or Languages(*DEFAULT_CODES)


def data_languages(data: DataConfig) -> Languages | None:
    """What a model with these settings reads and writes: the languages that they name, or those of a corpus that is known."""
    if data.src_lang:
        return Languages(data.lang_of("src"), data.lang_of("tgt"))
    corpus = SYNTHETIC.get(data.corpus) or find_dataset(data.corpus)
    if corpus is None or not corpus.languages:
        return None
    first, second = corpus.languages
    return Languages(second, first) if data.swap else Languages(first, second)


def language_names() -> dict[str, str]:
    """The English names of languages by their codes."""
    return tomllib.loads((files("wordseq.evaluation") / "languages.toml").read_text(encoding="utf-8"))


def display_name(code: str, names: Mapping[str, str]) -> str:
    """The English name of a language: of `pt-BR` "Portuguese (BR)"; a code without a name is its own."""
    language, _, place = code.partition("-")
    name = names.get(language.lower())
    if name is None:
        return code
    return f"{name} ({place})" if place else name


def about_run(run: RunFolder) -> dict[str, Any]:
    """What a page tells of a run.

    Returns:
        `name`; `model`, in words; whether it `attends`; `parameters`; training `pairs`, None if they are not known; `scores`,
        see `page_scores`, None if the checkpoint was not scored; `made_of`, of an ensemble or average.

    Raises:
        UserError: a file of the run is damaged.
    """
    config, header = run.config, run.header(BEST)
    settings = config_to_dict(config)
    model = config.model
    attention = "" if model.attention == "none" else f", attention {model.attention}"
    name = run.folder.resolve().name
    if run.packed:
        name = str(run.read_json(PACK_FILE).get("name") or name)
    sizes = run.read_json(SPLIT_FILE) if (run.folder / SPLIT_FILE).is_file() else {}
    pairs = sizes.get("train", {}).get("pairs") if isinstance(sizes.get("train"), dict) else None
    return {
        "name": name,
        "model": f"{model.cell}, {model.kind.replace('_', '-')}{attention}, level {level_name(settings['data'])}",
        "attends": model.attention != "none",
        "parameters": header.parameters,
        "pairs": pairs if isinstance(pairs, int) else None,
        "scores": _scores(run, header.sha256),
        "made_of": combination_note(run),
    }


def _scores(run: RunFolder, sha256: str) -> dict[str, Any] | None:
    """The scores of the best checkpoint on the test split; None if `wordseq eval` did not score it."""
    name = f"{EVAL_FOLDER}/test.json"
    if not (run.folder / name).is_file():
        return None
    found = run.read_json(name)
    if found.get("checkpoint") != sha256:
        return None
    try:
        return page_scores(found, int(found["sentences"]))
    except (KeyError, IndexError, TypeError, ValueError) as error:
        raise UserError(
            f"{run.folder / name}: damaged: {error!r}; `wordseq eval {run.folder}` makes it again"
        ) from None


def page_scores(found: Mapping[str, Any], sentences: int) -> dict[str, Any]:
    """The main metrics in the form that a page reads.

    Args:
        found: by key of a metric `name`, `score`, `ci95` and `signature`.
        sentences: number of those that were scored.

    Raises:
        KeyError: a value is missing; also IndexError, TypeError and ValueError for values of another form.
    """
    metrics = [
        {
            "name": str(found[key]["name"]),
            "score": float(found[key]["score"]),
            "low": float(found[key]["ci95"][0]),
            "high": float(found[key]["ci95"][1]),
            "signature": str(found[key]["signature"]),
        }
        for key in main_metrics(found)
    ]
    return {"sentences": sentences, "metrics": metrics}
