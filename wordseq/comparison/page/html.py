"""Runs as one HTML page that needs nothing beside itself: curves, scores, translations, attention, settings.

All text that comes from users, corpora or models is escaped, and the page's own policy forbids scripts and the network.
Plots are drawn by matplotlib (extra `report`), imported when the first one is drawn.
"""

import difflib
import importlib.util
import random
import shlex
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from wordseq.comparison.page.plots import IDS, curve, draw_heat_map, draw_lengths, figure, interval_plot, text
from wordseq.comparison.scored_runs import ScoredRun
from wordseq.comparison.tables import ABOUT_SEEDS, Table, notes, signatures, tables
from wordseq.config.load import to_toml
from wordseq.evaluation.metrics import DEFAULT_SEED, bleu, by_length, with_whole_unk
from wordseq.evaluation.tables import METRICS, NOTHING, number, one_line
from wordseq.system.errors import UserError
from wordseq.text.tokenizers import JOINER

END = "</s>"
"""How an attention picture names the end of a sentence."""

SAMPLES = 20
"""Sentences shown with all translations."""

HEAT_MAPS = 3
"""Sentences whose attention is shown."""

HEAT_MAP_CHARS = (20, 60)
"""Their sources have so many characters: neither trivial nor too wide for a page."""

INSTALL = "python -m pip install 'wordseq[report]'"


@dataclass(frozen=True)
class Alignment:
    """Where a translation looked: `weights[t][s]` of target token t on source token s; both end with `END`."""

    src_tokens: list[str]
    tgt_tokens: list[str]
    weights: list[list[float]]


def check_file(path: Path) -> None:
    """Whether a page can be made and written, before minutes are spent on what goes into it.

    Raises:
        UserError: matplotlib is missing, or the file's folder.
    """
    if importlib.util.find_spec("matplotlib") is None:
        raise UserError(f"the HTML page needs matplotlib, which is not installed: {INSTALL}")
    if path.is_dir():
        raise UserError(f"--html {path}: a folder, expected a file")
    if not path.absolute().parent.is_dir():
        raise UserError(f"--html {path}: no folder {path.absolute().parent}")


def chosen_sentences(sources: Sequence[str]) -> list[int]:
    """Positions of the sentences whose attention is shown: drawn from those of a middling length."""
    low, high = HEAT_MAP_CHARS
    fitting = [i for i, source in enumerate(sources) if low <= len(source) <= high]
    fitting = fitting or sorted(range(len(sources)), key=lambda i: len(sources[i]))[:HEAT_MAPS]
    return sorted(random.Random(DEFAULT_SEED).sample(fitting, min(HEAT_MAPS, len(fitting))))


def render(
    runs: Sequence[ScoredRun], result: Mapping[str, Any], looks: Mapping[Path, Sequence[Alignment]] | None = None
) -> str:
    """The page.

    Args:
        runs: the baseline first.
        result: what `compare.compare` gave for them.
        looks: by run folder, the alignments of `chosen_sentences`.

    Raises:
        UserError: matplotlib is missing.
    """
    if importlib.util.find_spec("matplotlib") is None:
        raise UserError(f"the HTML page needs matplotlib, which is not installed: {INSTALL}")
    names = [row["name"] for row in result["rows"]]
    # The same runs give the same page.
    IDS.last = 0
    sections = [
        ("summary", "Summary", _summary(result)),
        ("curves", "Learning curves", _curves(runs, names)),
        ("scores", "Scores and cost", _scores(result)),
        ("kinds", "Scores by kind of sentence", _kinds(runs, names)),
        ("samples", "Sample translations", _samples(runs, names)),
        ("attention", "Attention", _attention(runs, names, looks or {})),
        ("statistics", "Lengths and unknown words", _table(_statistics(runs, result))),
        ("settings", "Commands, settings, signatures", _settings(runs, result)),
    ]
    links = "".join(f'<li><a href="#{key}">{title}</a></li>' for key, title, _ in sections)
    body = "".join(
        f'<section aria-labelledby="{key}"><h2 id="{key}">{title}</h2>{content}</section>\n'
        for key, title, content in sections
    )
    title = text("wordseq: " + ", ".join(names))
    return (
        f'<!DOCTYPE html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n<title>{title}</title>\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        '<meta name="color-scheme" content="light dark">\n'
        '<meta http-equiv="Content-Security-Policy" '
        "content=\"default-src 'none'; style-src 'unsafe-inline'; img-src data:\">\n"
        f"<style>{_STYLE}</style>\n</head>\n<body>\n"
        '<a class="skip" href="#main">Skip to the content</a>\n'
        f'<header><h1>{title}</h1></header>\n<nav aria-label="Sections"><ul>{links}</ul></nav>\n'
        f'<main id="main" tabindex="-1">\n{body}</main>\n</body>\n</html>'
    )


def _summary(result: Mapping[str, Any]) -> str:
    rows = result["rows"]
    best = max(rows, key=lambda row: row["bleu"]["score"])
    lines = [
        f"Highest BLEU: {best['name']}, {best['bleu']['score']:.1f} "
        f"(95 % interval {best['bleu']['ci95'][0]:.1f} to {best['bleu']['ci95'][1]:.1f})."
    ]
    for row in rows[1:]:
        score = row["bleu"]
        lines.append(
            f"{row['name']} against {rows[0]['name']}: BLEU {score['difference']:+.1f}, "
            f"p = {score['p_bootstrap']:.4f} (paired bootstrap), {score['p_randomisation']:.4f} (randomisation)"
            f"{'; the same settings, another seed' * row['seed_only']}."
        )
    lines += [
        f"Over the seeds {', '.join(map(str, group['seeds']))} of {', '.join(group['names'])}: BLEU "
        f"{group['bleu']['mean']:.1f}, standard deviation {group['bleu']['deviation']:.1f}."
        for group in result["seeds"]
    ]
    if rows[1:]:
        lines.append(ABOUT_SEEDS)
    test = result["test"]
    lines.append(
        f"All translated the same {test['sentences']:,} held-out sentences ({test['references']:,} references)."
    )
    return "<ul>" + "".join(f"<li>{text(line)}</li>" for line in lines) + "</ul>"


def _curves(runs: Sequence[ScoredRun], names: Sequence[str]) -> str:
    dev = [[entry for entry in run.log if entry.get("kind") == "dev"] for run in runs]
    train = [[entry for entry in run.log if entry.get("kind") == "train"] for run in runs]
    if not any(dev):
        return "<p>No log of the training was found.</p>"
    parts = [
        curve(names, dev, "Dev BLEU over training time", "minutes", "dev BLEU", _minutes, lambda entry: entry["bleu"]),
        curve(names, dev, "Dev BLEU over updates", "updates", "dev BLEU", _step, lambda entry: entry["bleu"]),
        curve(
            names, dev, "Dev loss over updates", "updates", "nats/token", _step, lambda entry: entry["loss"], log=True
        ),
    ]
    if any(train):
        parts.append(
            curve(
                *(names, train, "Training loss over updates", "updates", "nats/token", _step),
                lambda entry: entry["loss"],
                log=True,
            )
        )
    rows: list[tuple[str, ...]] = [
        (name, str(len(entries)), f"{best['bleu']:.2f}", f"{best['step']:,}", f"{entries[-1]['seconds'] / 60:.1f}")
        for name, entries in zip(names, dev, strict=True)
        if entries and (best := max(entries, key=lambda entry: float(entry["bleu"])))
    ]
    header = ("Run", "Validations", "Best dev BLEU", "at update", "Minutes in all")
    return f'<div class="plots">{"".join(parts)}</div>' + _table(("Dev set while training", header, rows))


def _minutes(entry: Mapping[str, Any]) -> float:
    return float(entry["seconds"]) / 60


def _step(entry: Mapping[str, Any]) -> float:
    return float(entry["step"])


def _scores(result: Mapping[str, Any]) -> str:
    rows = result["rows"]
    plots = "".join(interval_plot(rows, key) for key in METRICS)
    found = [table for table in tables(result) if table[0] != "Settings that differ"]
    return f'<div class="plots">{plots}</div>' + "".join(map(_table, found))


def _kinds(runs: Sequence[ScoredRun], names: Sequence[str]) -> str:
    tokenize = _tokenize(runs)
    test = runs[0].test
    found = [by_length(test.sources, run.hyps, test.references, tokenize=tokenize) for run in runs]
    buckets = [row["words"] for row in found[0]]
    series = [[row["bleu"] for row in rows] for rows in found]
    header = ("Source words", "Sentences", *names)
    rows = [
        (words, f"{found[0][k]['sentences']:,}", *(f"{values[k]:.1f}" for values in series))
        for k, words in enumerate(buckets)
    ]
    plot = figure(
        "BLEU by length of the source",
        "BLEU of each run for each length of the source; the figures are in the table below.",
        lambda axes: draw_lengths(axes, names, buckets, series),
    )
    return (
        f'<div class="plots">{plot}</div>'
        + _table(("BLEU by length of the source", header, rows))
        + _table(_by_unknown(runs, names, tokenize))
    )


def _by_unknown(runs: Sequence[ScoredRun], names: Sequence[str], tokenize: str) -> Table:
    """All runs on the same sentences, so that those which know every word show how hard these sentences are.

    An unknown word of the output is one token, so that what is seen is how well the rest is translated.
    """
    lacks = [[any(token not in run.codecs[0].vocab for token in tokens) for tokens in run.src_tokens] for run in runs]
    some = [any(of_sentence) for of_sentence in zip(*lacks, strict=True)]
    parts = [[i for i, found in enumerate(some) if found == wanted] for wanted in (True, False)]

    def score(run: ScoredRun, chosen: Sequence[int]) -> str:
        hyps, refs = with_whole_unk([run.hyps[i] for i in chosen]), [run.test.references[i] for i in chosen]
        return f"{bleu(hyps, refs, tokenize=tokenize):.1f}" if chosen else NOTHING

    return (
        "BLEU, <unk> as one token, of sentences with a source word or sign that some run's vocabulary lacks, and of the others",
        ("Run", "It lacks one in", f"BLEU of these {len(parts[0]):,}", f"BLEU of the other {len(parts[1]):,}"),
        [
            (name, f"{sum(found):,}", *(score(run, chosen) for chosen in parts))
            for name, run, found in zip(names, runs, lacks, strict=True)
        ],
    )


def _samples(runs: Sequence[ScoredRun], names: Sequence[str]) -> str:
    test = runs[0].test
    size = len(test.sources)
    chosen = sorted(random.Random(DEFAULT_SEED).sample(range(size), min(SAMPLES, size)))
    header = ("Line", "Source", "References", *names)
    rows = [
        [
            str(i + 1),
            _user(test.sources[i]),
            "<br>".join(map(_user, test.references[i])),
            *(_difference(run.hyps[i], test.references[i]) for run in runs),
        ]
        for i in chosen
    ]
    legend = (
        "<p>Drawn at random. Against the nearest reference: <ins>a word that the reference lacks</ins>, "
        "<del>a word of the reference that is missing</del>.</p>"
    )
    return legend + _html_table("Sample translations", header, rows, words=True)


def _difference(hyp: str, references: Sequence[str]) -> str:
    """The translation with its differences from the nearest reference marked."""
    words = one_line(hyp).split()
    choices = [one_line(reference).split() for reference in references]
    matchers = [difflib.SequenceMatcher(None, choice, words, autojunk=False) for choice in choices]
    wanted, nearest = max(zip(choices, matchers, strict=True), key=lambda pair: pair[1].ratio())
    parts = []
    for kind, i1, i2, j1, j2 in nearest.get_opcodes():
        if kind == "equal":
            parts.append(text(" ".join(words[j1:j2])))
            continue
        if i2 > i1:
            parts.append(f"<del>{text(' '.join(wanted[i1:i2]))}</del>")
        if j2 > j1:
            parts.append(f"<ins>{text(' '.join(words[j1:j2]))}</ins>")
    return f'<span dir="auto">{" ".join(parts)}</span>' if parts else '<span class="empty">(empty)</span>'


def _attention(runs: Sequence[ScoredRun], names: Sequence[str], looks: Mapping[Path, Sequence[Alignment]]) -> str:
    parts = []
    for position, i in enumerate(chosen_sentences(runs[0].test.sources)):
        maps = [
            _heat_map(name, looks[run.folder][position])
            for run, name in zip(runs, names, strict=True)
            if run.folder in looks
        ]
        if maps:
            source = _user(runs[0].test.sources[i])
            parts.append(f'<h3>Line {i + 1}: {source}</h3><div class="plots">{"".join(maps)}</div>')
    without = [name for run, name in zip(runs, names, strict=True) if run.folder not in looks]
    if without:
        parts.append(f"<p>Without attention: {text(', '.join(without))}.</p>")
    return "".join(parts)


def _heat_map(name: str, found: Alignment) -> str:
    # Few fonts have the joiner of the word level.
    src, tgt = (
        [one_line(token.replace(JOINER, "·")) for token in tokens] for tokens in (found.src_tokens, found.tgt_tokens)
    )
    strongest: list[tuple[str, ...]] = [
        (token, src[max(range(len(src)), key=lambda s: row[s])], f"{max(row):.2f}")
        for token, row in zip(tgt, found.weights, strict=True)
    ]
    picture = figure(
        f"Attention of {name}",
        "A row a token of the translation, a column a token of the source, brighter for more weight; "
        "the list below names the strongest of each row.",
        lambda axes: draw_heat_map(axes, src, tgt, found.weights),
        size=(min(1.6 + 0.3 * len(src), 11), min(1.2 + 0.26 * len(tgt), 11)),
    )
    table = _table((f"Strongest attention of {name}", ("Token", "looked at", "weight"), strongest))
    return f"<div>{picture}<details><summary>Strongest weights of {text(name)}</summary>{table}</details></div>"


def _statistics(runs: Sequence[ScoredRun], result: Mapping[str, Any]) -> Table:
    references = [choices[0].split() for choices in runs[0].test.references]
    header = (
        *("Run", "Words/translation", "Words/reference", "Length ratio", "Empty", "Longest", "Longest reference"),
        *("Sentences with <unk>", "<unk> in output", "Unknown in source", "Unknown in reference"),
    )
    rows = []
    for run, row in zip(runs, result["rows"], strict=True):
        lengths = [len(hyp.split()) for hyp in run.hyps]
        rows.append(
            (
                row["name"],
                f"{sum(lengths) / len(lengths):.1f}",
                f"{sum(map(len, references)) / len(references):.1f}",
                number(row["length_ratio"], ".3f"),
                f"{lengths.count(0):,}",
                f"{max(lengths)}",
                f"{max(map(len, references))}",
                f"{sum('<unk>' in hyp for hyp in run.hyps):,}",
                *(number(row[key], ".2%") for key in ("unk_rate", "oov_rate", "tgt_oov_rate")),
            )
        )
    return "Lengths in words, and unknown tokens of each run's own vocabularies", header, rows


def _settings(runs: Sequence[ScoredRun], result: Mapping[str, Any]) -> str:
    lines = "".join(f"<li>{text(note)}</li>" for note in notes(result))
    lines += "".join(f"<li>{text(name)}: <code>{text(found)}</code></li>" for name, found in signatures(result))
    parts = [f"<ul>{lines}</ul>", *(_table(table) for table in tables(result) if table[0] == "Settings that differ")]
    for run, row in zip(runs, result["rows"], strict=True):
        name = text(row["name"])
        scored = text(str(run.evaluation.get("command") or NOTHING))
        made_by = text(str(run.evaluation.get("commit") or NOTHING))
        again = text(f"wordseq train {shlex.quote(str(run.folder / 'config.toml'))} --run NEW")
        parts.append(
            f"<h3>{name}</h3><p>Scored by <code>{scored}</code>, wordseq {made_by}. The same settings train it again: "
            f"<code>{again}</code></p>"
            f"<details><summary>All settings of {name}</summary>"
            f'<pre class="scroll" tabindex="0" role="region" aria-label="Settings of {name}">{_code(to_toml(run.config))}'
            "</pre></details>"
        )
    compared = " ".join(shlex.quote(str(run.folder / "eval" / "test.hyp")) for run in runs)
    command = f"sacrebleu {shlex.quote(str(runs[0].folder / 'eval'))}/test.ref* -i {compared} -m bleu chrf ter"
    tokenize = _tokenize(runs)
    command += "" if tokenize == "13a" else f" --tokenize {tokenize}"
    options = ("--paired-bs -f text", "--paired-ar -f text") if len(runs) > 1 else ("--confidence",)
    commands = " and ".join(f"<code>{text(f'{command} {option}')}</code>" for option in options)
    equal = " Systems that nothing tells apart have p = 1 here." if len(runs) > 1 else ""
    parts.append(f"<p>sacreBLEU gives the same figures: {commands}.{equal}</p>")
    return "".join(parts)


def _tokenize(runs: Sequence[ScoredRun]) -> str:
    return "none" if all(run.config.data.pretokenized for run in runs) else "13a"


def _code(value: str) -> str:
    return "\n".join(map(text, value.split("\n")))


def _user(value: str) -> str:
    """Text of a corpus or a model, in its own writing direction."""
    return f'<span dir="auto">{text(value)}</span>'


def _table(table: Table) -> str:
    title, header, rows = table
    return _html_table(title, header, [[text(cell) for cell in row] for row in rows]) if rows else ""


def _html_table(title: str, header: Sequence[str], rows: Iterable[Sequence[str]], words: bool = False) -> str:
    """A table in an area that scrolls, by keyboard too; the cells are HTML, title and header are not."""
    key = f"t{next(IDS)}"
    head = "".join(f'<th scope="col">{text(cell)}</th>' for cell in header)
    lines = "".join(
        f'<tr><th scope="row">{row[0]}</th>{"".join(f"<td>{cell}</td>" for cell in row[1:])}</tr>\n' for row in rows
    )
    return (
        f'<div class="scroll" role="region" tabindex="0" aria-labelledby="{key}">'
        f'<table{" class=words" * words}><caption id="{key}">{text(title)}</caption>'
        f"<thead><tr>{head}</tr></thead>\n<tbody>{lines}</tbody></table></div>\n"
    )


_STYLE = """
:root { --ink: #1c1c1e; --paper: #fdfdfc; --line: #767676; --link: #0b57a8; --plus: #0a5c2b; --minus: #96231b; }
@media (prefers-color-scheme: dark) {
 :root { --ink: #ececec; --paper: #17181a; --line: #8e8e8e; --link: #8ab8f5; --plus: #7fd8a0; --minus: #f5a39c; } }
* { box-sizing: border-box }
body { margin: 0 auto; max-width: 76rem; padding: 0 1rem 3rem; color: var(--ink); background: var(--paper);
 font: 1rem/1.5 system-ui, sans-serif; overflow-wrap: anywhere }
h1 { font-size: 1.5rem } h2 { margin-top: 2.5rem; border-bottom: 1px solid var(--line) }
a { color: var(--link) } :focus-visible { outline: 3px solid var(--link); outline-offset: 2px }
.skip { position: absolute; left: -100vw } .skip:focus { position: static }
nav ul { display: flex; flex-wrap: wrap; gap: .3rem 1.2rem; padding: 0; list-style: none }
.scroll { overflow-x: auto; margin: 1rem 0 }
table { border-collapse: collapse; font-variant-numeric: tabular-nums }
caption { text-align: start; font-weight: 600; padding: .3rem 0 }
th, td { border-bottom: 1px solid var(--line); padding: .3rem .7rem; text-align: start; vertical-align: top;
 overflow-wrap: normal }
table.words td { min-width: 13rem; max-width: 24rem; overflow-wrap: anywhere }
ins { color: var(--plus); text-decoration: underline } ins::before { content: "+" }
ins::before, del::before { display: inline-block }
del { color: var(--minus); text-decoration: line-through } del::before { content: "\\2212" }
.empty { font-style: italic }
.plots { display: flex; flex-wrap: wrap; gap: 1.5rem } figure { margin: 0; max-width: 100% }
figcaption { font-size: .9rem } svg { max-width: 100%; height: auto } svg * { stroke-linejoin: round }
svg image { image-rendering: pixelated } svg text { fill: currentColor }
pre { padding: .7rem; border: 1px solid var(--line); overflow-wrap: normal } code { overflow-wrap: anywhere }
@media print { .skip, nav { display: none } details > * { display: block } }
"""
