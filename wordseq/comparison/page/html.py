"""A self-contained HTML page of runs: curves, scores, translations, attention, settings.

This module computes the contents; `page.html.j2` is the template. The template escapes all text from users, corpora and models.
The Content-Security-Policy of the page forbids scripts and the network.
"""

import difflib
import functools
import importlib.resources
import importlib.util
import itertools
import random
import shlex
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from wordseq.comparison.attention import Alignment, chosen_sentences
from wordseq.comparison.compare import shared_symbols
from wordseq.comparison.page import plots
from wordseq.comparison.page.plots import Chart
from wordseq.comparison.scored_runs import ScoredRun
from wordseq.comparison.tables import (
    ABOUT_SEEDS,
    SETTINGS_TITLE,
    Table,
    comparison_notes,
    comparison_tables,
    main_signatures,
)
from wordseq.config.load import to_toml
from wordseq.evaluation.metrics.bleu import DEFAULT_SEED, bleu, with_whole_unk
from wordseq.evaluation.metrics.corpus import by_length
from wordseq.evaluation.metrics.names import NAMES, SENTENCES, WORDS, dev_name, dev_score, gain, main_metrics
from wordseq.evaluation.metrics.symbols import Symbols
from wordseq.evaluation.metrics.words import percent, word_ratios
from wordseq.evaluation.tables import NOTHING, number, one_line
from wordseq.system.errors import UserError
from wordseq.system.progress import counted
from wordseq.text.tokenizers import JOINER

SHOWN_SENTENCES = 20
"""Number of sentences shown with all translations."""


SPACED = Symbols(" ")
"""Words of a sentence."""


def check_page_file(path: Path) -> None:
    """Check that a page can be rendered and written, before any long work.

    Raises:
        UserError: matplotlib, Jinja2 or the file's folder is missing.
    """
    _check_libraries()
    if path.is_dir():
        raise UserError(f"--html {path}: is a folder, expected a file")
    if not path.absolute().parent.is_dir():
        raise UserError(f"--html {path}: there is no folder {path.absolute().parent}")


def _check_libraries() -> None:
    missing = [name for name in ("matplotlib", "jinja2") if importlib.util.find_spec(name) is None]
    if missing:
        which = f"{' and '.join(missing)}, which {'are' if missing[1:] else 'is'} not installed"
        raise UserError(f"the HTML page needs {which}: python -m pip install 'wordseq[report]'")


def render_page(
    runs: Sequence[ScoredRun], result: Mapping[str, Any], looks: Mapping[Path, Sequence[Alignment]] | None = None
) -> str:
    """The page. It depends only on the runs: it has no date and no random part.

    Args:
        runs: the baseline first.
        result: what `compare_runs` returned for them.
        looks: the alignments of `chosen_sentences`, by run folder.

    Raises:
        UserError: matplotlib or Jinja2 is missing.
    """
    _check_libraries()
    import jinja2

    folder, rows = importlib.resources.files(__package__), result["rows"]
    names = [row["name"] for row in rows]
    tokenize = result["tokenize"]
    units = shared_symbols(runs) if result["task"] == WORDS else SPACED
    environment = jinja2.Environment(
        autoescape=True,
        # `one_line` makes control characters visible, before Jinja2 escapes the text. Markup is left as it is.
        finalize=lambda value: value if hasattr(value, "__html__") else one_line(str(value)),
        lstrip_blocks=True,
        trim_blocks=True,
        undefined=jinja2.StrictUndefined,
    )
    return environment.from_string(folder.joinpath("page.html.j2").read_text(encoding="utf-8")).render(
        style=folder.joinpath("page.css").read_text(encoding="utf-8"),
        next_number=itertools.count(1).__next__,  # for the ids of charts and tables
        svg=plots.svg,
        counted=counted,
        nothing=NOTHING,
        about_seeds=ABOUT_SEEDS,
        settings_title=SETTINGS_TITLE,
        result=result,
        main=main_metrics(rows[0])[0],
        best=max(rows, key=lambda row: gain(main_metrics(row)[0], row[main_metrics(row)[0]]["score"])),
        names=names,
        curves=_curves(runs, names),
        intervals=[_intervals(rows, key) for key in main_metrics(rows[0])],
        tables=comparison_tables(result),
        lengths=_lengths(runs, names, tokenize, result["task"]),
        unknown=scores_by_unknown(runs, names, tokenize, result["task"]),
        samples=_samples(runs, units),
        separator=units.separator,
        attention=_attention(runs, names, looks or {}),
        without_attention=[name for run, name in zip(runs, names, strict=True) if run.folder not in (looks or {})],
        statistics=_statistics(runs, rows),
        notes=comparison_notes(result),
        signatures=main_signatures(rows[0]),
        settings=[
            (
                name,
                run.evaluation,
                "" if run.made_of else shlex.quote(str(run.folder / "config.toml")),
                to_toml(run.config),
            )
            for run, name in zip(runs, names, strict=True)
        ],
        commands=_sacrebleu_commands(runs, tokenize),
    )


def _curves(runs: Sequence[ScoredRun], names: Sequence[str]) -> tuple[list[Chart], Table]:
    dev, train = (
        [[entry for entry in run.log if entry.get("kind") == kind] for run in runs] for kind in ("dev", "train")
    )
    minutes = [[{**entry, "minutes": entry["seconds"] / 60} for entry in entries] for entries in dev]
    labels = {"minutes": "minutes", "step": "updates", "loss": "loss per token"}
    # BLEU is in every log; what chose the checkpoints is drawn too, if it was the same for all runs.
    chosen = {run.config.train.select_by for run in runs} - {"loss"}
    scores = list(dict.fromkeys([*(chosen if len(chosen) == 1 else ()), "bleu"]))
    labels |= {key: dev_name(key) for key in scores}
    charts = [
        Chart(
            title,
            f"One line per run: {labels[y]} over {labels[x]}.",
            functools.partial(
                plots.draw_curves,
                names=names,
                curves=[[(entry[x], entry[y]) for entry in entries] for entries in logs],
                labels=(labels[x], labels[y]),
                log=y == "loss",
            ),
        )
        for title, logs, x, y in (
            *((f"Dev {NAMES[key]} over training time", minutes, "minutes", key) for key in scores),
            *((f"Dev {NAMES[key]} over updates", dev, "step", key) for key in scores),
            ("Dev loss over updates", dev, "step", "loss"),
            ("Training loss over updates", train, "step", "loss"),
        )
        if any(dev) and any(logs)
    ]
    rows: list[tuple[str, ...]] = [
        (
            *(name, str(len(entries)), dev_score(key, best[key])),
            *(f"{best['step']:,}", f"{entries[-1]['seconds'] / 60:.1f}"),
        )
        for name, run, entries in zip(names, runs, dev, strict=True)
        for key in [run.config.train.select_by]
        if entries and (best := max(entries, key=lambda entry: (gain(key, entry[key]), -entry["loss"])))
    ]
    header = ("Run", "Validations", "Best checkpoint", "At update", "Total minutes")
    return charts, ("Validation during training", header, rows)


def _intervals(rows: Sequence[Mapping[str, Any]], key: str) -> Chart:
    return Chart(
        f"{rows[0][key]['name']} with 95 % intervals",
        "; ".join(f"{row['name']} {row[key]['score']:.1f}" for row in rows) + ".",
        functools.partial(plots.draw_intervals, rows=rows, key=key),
        (5.2, 1.2 + 0.35 * len(rows)),
    )


def _lengths(runs: Sequence[ScoredRun], names: Sequence[str], tokenize: str, task: str) -> tuple[Chart, Table]:
    test, symbols = runs[0].test, shared_symbols(runs)
    found = [by_length(test.sources, run.hyps, test.references, tokenize=tokenize, symbols=symbols) for run in runs]
    key, unit = ("exact", "characters") if task == WORDS else ("bleu", "words")
    rows: list[tuple[str, ...]] = [
        (of_all[0][unit], f"{of_all[0]['sentences']:,}", *(f"{row[key]:.1f}" for row in of_all))
        for of_all in zip(*found, strict=True)
    ]
    title = f"{NAMES[key]} by length of the source"
    chart = Chart(
        title,
        f"{NAMES[key]} of each run by length of the source; the table below has the figures.",
        functools.partial(
            plots.draw_lengths,
            names=names,
            buckets=[row[unit] for row in found[0]],
            series=[[row[key] for row in of_run] for of_run in found],
            labels=(f"source {unit}", NAMES[key]),
        ),
    )
    return chart, (title, (f"Source {unit}", task.capitalize(), *names), rows)


def _samples(
    runs: Sequence[ScoredRun], units: Symbols
) -> list[tuple[int, str, Sequence[str], list[list[tuple[str, str]]]]]:
    """Line number, source, references, and the marked differences of each run."""
    test = runs[0].test
    size = len(test.sources)
    return [
        (i + 1, test.sources[i], refs, [marked_differences(run.hyps[i], refs, units) for run in runs])
        for i in sorted(random.Random(DEFAULT_SEED).sample(range(size), min(SHOWN_SENTENCES, size)))
        for refs in [test.references[i]]
    ]


def marked_differences(hyp: str, references: Sequence[str], units: Symbols = SPACED) -> list[tuple[str, str]]:
    """The differences between a translation and its nearest reference.

    Args:
        hyp: the translation.
        references: of the sentence.
        units: what is compared: words, or the symbols of words.

    Returns:
        Parts in order, each as mark and text; joined by `units.separator` they are the complete text. `ins` marks units that
        are not in the reference, `del` units of the reference that are missing. Common units have no mark.
    """
    found, *choices = [units.cut(" ".join(one_line(text).split())) for text in (hyp, *references)]
    matchers = [difflib.SequenceMatcher(None, choice, found, autojunk=False) for choice in choices]
    wanted, nearest = max(zip(choices, matchers, strict=True), key=lambda pair: pair[1].ratio())
    parts = []
    for kind, i1, i2, j1, j2 in nearest.get_opcodes():
        if kind != "equal":
            parts.append(("del", wanted[i1:i2]))
        parts.append(("" if kind == "equal" else "ins", found[j1:j2]))
    return [(mark, units.separator.join(some)) for mark, some in parts if some]


def _attention(
    runs: Sequence[ScoredRun], names: Sequence[str], looks: Mapping[Path, Sequence[Alignment]]
) -> list[tuple[int, str, list[tuple[str, Chart, Table]]]]:
    """Line number, source, and for each run with attention its name, heat map and strongest weights."""
    sources = runs[0].test.sources
    return [
        (
            i + 1,
            sources[i],
            [
                (name, *_heat_map(name, looks[run.folder][position]))
                for run, name in zip(runs, names, strict=True)
                if run.folder in looks
            ],
        )
        for position, i in enumerate(chosen_sentences(sources))
    ]


def _heat_map(name: str, found: Alignment) -> tuple[Chart, Table]:
    # Few fonts have the joiner of the word level.
    src, tgt = (
        [one_line(token.replace(JOINER, "·")) for token in tokens] for tokens in (found.src_tokens, found.tgt_tokens)
    )
    strongest: list[tuple[str, ...]] = [
        (token, src[max(range(len(src)), key=lambda s: row[s])], f"{max(row):.2f}")
        for token, row in zip(tgt, found.weights, strict=True)
    ]
    chart = Chart(
        f"Attention of {name}",
        "One row per token of the translation, one column per token of the source; brighter is more weight. "
        "The table below has the strongest weight of each row.",
        functools.partial(plots.draw_heat_map, src=src, tgt=tgt, weights=found.weights),
        (min(1.6 + 0.3 * len(src), 11), min(1.2 + 0.26 * len(tgt), 11)),
    )
    return chart, (f"Strongest attention of {name}", ("Target token", "Source token", "Weight"), strongest)


def _statistics(runs: Sequence[ScoredRun], rows: Sequence[Mapping[str, Any]]) -> Table:
    wanted = [len(references[0].split()) for references in runs[0].test.references]
    header = (
        *("Run", "Words/translation", "Words/reference", "Length ratio", "Empty", "Longest", "Longest reference"),
        *("Outputs with <unk>", "<unk> in output", "Unknown in source", "Unknown in reference"),
    )
    lines = []
    for run, row in zip(runs, rows, strict=True):
        lengths = [len(hyp.split()) for hyp in run.hyps]
        cells = (
            *(row["name"], f"{sum(lengths) / len(lengths):.1f}", f"{sum(wanted) / len(wanted):.1f}"),
            *(number(row["length_ratio"], ".3f"), f"{lengths.count(0):,}", f"{max(lengths)}", f"{max(wanted)}"),
            f"{sum('<unk>' in hyp for hyp in run.hyps):,}",
            *(number(row[key], ".2%") for key in ("unk_rate", "oov_rate", "tgt_oov_rate")),
        )
        lines.append(cells)
    return "Lengths in words, and tokens that each run's vocabularies lack", header, lines


def _sacrebleu_commands(runs: Sequence[ScoredRun], tokenize: str) -> list[str]:
    compared = " ".join(shlex.quote(str(run.folder / "eval" / "test.hyp")) for run in runs)
    command = f"sacrebleu {shlex.quote(str(runs[0].folder / 'eval'))}/test.ref* -i {compared} -m bleu chrf ter"
    command += "" if tokenize == "13a" else f" --tokenize {tokenize}"
    options = ("--paired-bs -f text", "--paired-ar -f text") if len(runs) > 1 else ("--confidence",)
    return [f"{command} {option}" for option in options]


def scores_by_unknown(runs: Sequence[ScoredRun], names: Sequence[str], tokenize: str, task: str = SENTENCES) -> Table:
    """BLEU or EXACT of inputs with tokens that a source vocabulary lacks, and of the others, the same two sets for all runs.

    So a run that knows every token shows how hard the sentences are. <unk> in the output is one token: the scores then show the
    translation of the other words.
    """
    lacks = [list(map(run.codecs[0].vocab.lacks, run.src_tokens)) for run in runs]
    some = [any(of_sentence) for of_sentence in zip(*lacks, strict=True)]
    parts = [[i for i, found in enumerate(some) if found == wanted] for wanted in (True, False)]

    def score(run: ScoredRun, chosen: Sequence[int]) -> str:
        if not chosen:
            return NOTHING
        hyps, refs = with_whole_unk([run.hyps[i] for i in chosen]), [run.test.references[i] for i in chosen]
        if task == WORDS:
            return f"{percent(word_ratios(hyps, refs, shared_symbols(runs))['exact'].sum(0)):.1f}"
        return f"{bleu(hyps, refs, tokenize=tokenize):.1f}"

    name = NAMES["exact" if task == WORDS else "bleu"]

    return (
        f"{name} with and without tokens that a source vocabulary lacks; <unk> in the output counts as one token",
        (
            *("Run", f"{task.capitalize()} with a token that this run lacks"),
            *(
                f"{name} of the {len(parts[0]):,} with a token that some run lacks",
                f"{name} of the other {len(parts[1]):,}",
            ),
        ),
        [
            (name, f"{sum(found):,}", *(score(run, chosen) for chosen in parts))
            for name, run, found in zip(names, runs, lacks, strict=True)
        ],
    )
