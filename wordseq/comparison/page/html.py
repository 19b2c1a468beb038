"""Runs as one HTML page that needs no other file: curves, scores, translations, attention, settings.

All text that comes from users, corpora or models is escaped, and the page's own policy forbids scripts and the network.
"""

import functools
import importlib.resources
import importlib.util
import itertools
import random
import shlex
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from wordseq.comparison.attention import Alignment, chosen_sentences
from wordseq.comparison.page import plots
from wordseq.comparison.page.markup import html_text, marked_differences, user_text
from wordseq.comparison.scored_runs import ScoredRun
from wordseq.comparison.tables import ABOUT_SEEDS, SETTINGS_TITLE, Table, comparison_notes, comparison_tables
from wordseq.config.load import to_toml
from wordseq.evaluation.metrics import DEFAULT_SEED, bleu, bleu_tokenizer, by_length, with_whole_unk
from wordseq.evaluation.tables import METRICS, NOTHING, number, one_line, signatures
from wordseq.system.errors import UserError
from wordseq.text.tokenizers import JOINER

SHOWN_SENTENCES = 20
"""Sentences shown with all translations."""


def check_page_file(path: Path) -> None:
    """Check that a page can be made and written, before minutes are spent on what goes into it.

    Raises:
        UserError: matplotlib is missing, or the file's folder.
    """
    _check_matplotlib()
    if path.is_dir():
        raise UserError(f"--html {path}: a folder, expected a file")
    if not path.absolute().parent.is_dir():
        raise UserError(f"--html {path}: no folder {path.absolute().parent}")


def render_page(
    runs: Sequence[ScoredRun], result: Mapping[str, Any], looks: Mapping[Path, Sequence[Alignment]] | None = None
) -> str:
    """The page; the same runs give the same one.

    Args:
        runs: the baseline first.
        result: what `compare.compare` gave for them.
        looks: by run folder, the alignments of `chosen_sentences`.

    Raises:
        UserError: matplotlib is missing.
    """
    _check_matplotlib()
    return _Page(runs, result, looks or {}).html()


def _check_matplotlib() -> None:
    if importlib.util.find_spec("matplotlib") is None:
        install = "python -m pip install 'wordseq[report]'"
        raise UserError(f"the HTML page needs matplotlib, which is not installed: {install}")


class _Page:
    """A page in the making; arguments as `render_page`."""

    def __init__(
        self, runs: Sequence[ScoredRun], result: Mapping[str, Any], looks: Mapping[Path, Sequence[Alignment]]
    ) -> None:
        self.runs, self.result, self.looks = runs, result, looks
        self.rows: Sequence[Mapping[str, Any]] = result["rows"]
        self.names = [row["name"] for row in self.rows]
        self.test = runs[0].test
        self.tokenize = bleu_tokenizer(all(run.config.data.pretokenized for run in runs))
        self.numbers = itertools.count(1)  # for the ids of pictures and tables

    def html(self) -> str:
        sections = [
            ("summary", "Summary", self._summary()),
            ("curves", "Learning curves", self._curves()),
            ("scores", "Scores and cost", self._scores()),
            ("kinds", "Scores by kind of sentence", self._kinds()),
            ("samples", "Sample translations", self._samples()),
            ("attention", "Attention", self._attention()),
            ("statistics", "Lengths and unknown words", self._table(self._statistics())),
            ("settings", "Commands, settings, signatures", self._settings()),
        ]
        links = "".join(f'<li><a href="#{key}">{title}</a></li>' for key, title, _ in sections)
        body = "".join(
            f'<section aria-labelledby="{key}"><h2 id="{key}">{title}</h2>{content}</section>\n'
            for key, title, content in sections
        )
        title = html_text("wordseq: " + ", ".join(self.names))
        style = importlib.resources.files(__package__).joinpath("page.css").read_text(encoding="utf-8")
        return (
            f'<!DOCTYPE html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n<title>{title}</title>\n'
            '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
            '<meta name="color-scheme" content="light dark">\n'
            '<meta http-equiv="Content-Security-Policy" '
            "content=\"default-src 'none'; style-src 'unsafe-inline'; img-src data:\">\n"
            f"<style>\n{style}</style>\n</head>\n<body>\n"
            '<a class="skip" href="#main">Skip to the content</a>\n'
            f'<header><h1>{title}</h1></header>\n<nav aria-label="Sections"><ul>{links}</ul></nav>\n'
            f'<main id="main" tabindex="-1">\n{body}</main>\n</body>\n</html>'
        )

    def _summary(self) -> str:
        rows, test = self.rows, self.result["test"]
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
            for group in self.result["seeds"]
        ]
        if rows[1:]:
            lines.append(ABOUT_SEEDS)
        lines.append(
            f"All translated the same {test['sentences']:,} held-out sentences ({test['references']:,} references)."
        )
        return "<ul>" + "".join(f"<li>{html_text(line)}</li>" for line in lines) + "</ul>"

    def _curves(self) -> str:
        dev, train = (
            [[entry for entry in run.log if entry.get("kind") == kind] for run in self.runs]
            for kind in ("dev", "train")
        )
        if not any(dev):
            return "<p>No log of the training was found.</p>"
        minutes = [[{**entry, "minutes": entry["seconds"] / 60} for entry in entries] for entries in dev]
        updates, score, loss = ("step", "updates"), ("bleu", "dev BLEU"), ("loss", "nats/token")
        parts = [
            self._curve("Dev BLEU over training time", minutes, ("minutes", "minutes"), score),
            self._curve("Dev BLEU over updates", dev, updates, score),
            self._curve("Dev loss over updates", dev, updates, loss),
        ]
        if any(train):
            parts.append(self._curve("Training loss over updates", train, updates, loss))
        rows: list[tuple[str, ...]] = [
            (name, str(len(entries)), f"{best['bleu']:.2f}", f"{best['step']:,}", f"{entries[-1]['seconds'] / 60:.1f}")
            for name, entries in zip(self.names, dev, strict=True)
            if entries and (best := max(entries, key=lambda entry: float(entry["bleu"])))
        ]
        header = ("Run", "Validations", "Best dev BLEU", "at update", "Minutes in all")
        return f'<div class="plots">{"".join(parts)}</div>' + self._table(("Dev set while training", header, rows))

    def _curve(
        self, title: str, logs: Sequence[Sequence[Mapping[str, Any]]], x: tuple[str, str], y: tuple[str, str]
    ) -> str:
        """A line for each run through entries of its log; x and y are key and label."""
        curves = [[(entry[x[0]], entry[y[0]]) for entry in entries] for entries in logs]
        return self._figure(
            title,
            f"A line a run: {y[1]} against {x[1]}.",
            lambda axes: plots.draw_curves(axes, self.names, curves, (x[1], y[1]), log=y[0] == "loss"),
        )

    def _scores(self) -> str:
        intervals = "".join(
            self._figure(
                f"{self.rows[0][key]['name']} with 95 % intervals",
                "; ".join(f"{row['name']} {row[key]['score']:.1f}" for row in self.rows) + ".",
                functools.partial(plots.draw_intervals, rows=self.rows, key=key),
                (5.2, 1.2 + 0.35 * len(self.rows)),
            )
            for key in METRICS
        )
        found = [table for table in comparison_tables(self.result) if table[0] != SETTINGS_TITLE]
        return f'<div class="plots">{intervals}</div>' + "".join(map(self._table, found))

    def _kinds(self) -> str:
        found = [
            by_length(self.test.sources, run.hyps, self.test.references, tokenize=self.tokenize) for run in self.runs
        ]
        buckets = [row["words"] for row in found[0]]
        series = [[row["bleu"] for row in rows] for rows in found]
        title, header = "BLEU by length of the source", ("Source words", "Sentences", *self.names)
        rows = [
            (words, f"{found[0][k]['sentences']:,}", *(f"{values[k]:.1f}" for values in series))
            for k, words in enumerate(buckets)
        ]
        plot = self._figure(
            title,
            "BLEU of each run for each length of the source; the figures are in the table below.",
            lambda axes: plots.draw_lengths(axes, self.names, buckets, series),
        )
        return (
            f'<div class="plots">{plot}</div>'
            + self._table((title, header, rows))
            + self._table(scores_by_unknown(self.runs, self.names, self.tokenize))
        )

    def _samples(self) -> str:
        size = len(self.test.sources)
        chosen = sorted(random.Random(DEFAULT_SEED).sample(range(size), min(SHOWN_SENTENCES, size)))
        header = ("Line", "Source", "References", *self.names)
        rows = [
            [
                str(i + 1),
                user_text(self.test.sources[i]),
                "<br>".join(map(user_text, self.test.references[i])),
                *(marked_differences(run.hyps[i], self.test.references[i]) for run in self.runs),
            ]
            for i in chosen
        ]
        legend = (
            "<p>Drawn at random. Against the nearest reference: <ins>a word that the reference lacks</ins>, "
            "<del>a word of the reference that is missing</del>.</p>"
        )
        return legend + self._html_table("Sample translations", header, rows, words=True)

    def _attention(self) -> str:
        parts = []
        named = list(zip(self.runs, self.names, strict=True))
        for position, i in enumerate(chosen_sentences(self.test.sources)):
            maps = [
                self._heat_map(name, self.looks[run.folder][position])
                for run, name in named
                if run.folder in self.looks
            ]
            if maps:
                source = user_text(self.test.sources[i])
                parts.append(f'<h3>Line {i + 1}: {source}</h3><div class="plots">{"".join(maps)}</div>')
        without = [name for run, name in named if run.folder not in self.looks]
        if without:
            parts.append(f"<p>Without attention: {html_text(', '.join(without))}.</p>")
        return "".join(parts)

    def _heat_map(self, name: str, found: Alignment) -> str:
        # Few fonts have the joiner of the word level.
        src, tgt = (
            [one_line(token.replace(JOINER, "·")) for token in tokens]
            for tokens in (found.src_tokens, found.tgt_tokens)
        )
        strongest: list[tuple[str, ...]] = [
            (token, src[max(range(len(src)), key=lambda s: row[s])], f"{max(row):.2f}")
            for token, row in zip(tgt, found.weights, strict=True)
        ]
        picture = self._figure(
            f"Attention of {name}",
            "A row a token of the translation, a column a token of the source, brighter for more weight; "
            "the list below names the strongest of each row.",
            lambda axes: plots.draw_heat_map(axes, src, tgt, found.weights),
            (min(1.6 + 0.3 * len(src), 11), min(1.2 + 0.26 * len(tgt), 11)),
        )
        table = self._table((f"Strongest attention of {name}", ("Token", "looked at", "weight"), strongest))
        return (
            f"<div>{picture}<details><summary>Strongest weights of {html_text(name)}</summary>{table}</details></div>"
        )

    def _statistics(self) -> Table:
        references = [choices[0].split() for choices in self.test.references]
        header = (
            *("Run", "Words/translation", "Words/reference", "Length ratio", "Empty", "Longest", "Longest reference"),
            *("Sentences with <unk>", "<unk> in output", "Unknown in source", "Unknown in reference"),
        )
        rows = []
        for run, row in zip(self.runs, self.rows, strict=True):
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

    def _settings(self) -> str:
        runs = self.runs
        lines = "".join(f"<li>{html_text(note)}</li>" for note in comparison_notes(self.result))
        lines += "".join(
            f"<li>{html_text(name)}: <code>{html_text(found)}</code></li>" for name, found in signatures(self.rows[0])
        )
        parts = [f"<ul>{lines}</ul>"]
        parts += [self._table(table) for table in comparison_tables(self.result) if table[0] == SETTINGS_TITLE]
        for run, name in zip(runs, map(html_text, self.names), strict=True):
            scored = html_text(str(run.evaluation.get("command") or NOTHING))
            made_by = html_text(str(run.evaluation.get("commit") or NOTHING))
            again = html_text(f"wordseq train {shlex.quote(str(run.folder / 'config.toml'))} --run NEW")
            settings = "\n".join(map(html_text, to_toml(run.config).split("\n")))
            parts.append(
                f"<h3>{name}</h3><p>Scored by <code>{scored}</code>, wordseq {made_by}. The same settings train it again: "
                f"<code>{again}</code></p>"
                f"<details><summary>All settings of {name}</summary>"
                f'<pre class="scroll" tabindex="0" role="region" aria-label="Settings of {name}">{settings}'
                "</pre></details>"
            )
        compared = " ".join(shlex.quote(str(run.folder / "eval" / "test.hyp")) for run in runs)
        command = f"sacrebleu {shlex.quote(str(runs[0].folder / 'eval'))}/test.ref* -i {compared} -m bleu chrf ter"
        command += "" if self.tokenize == "13a" else f" --tokenize {self.tokenize}"
        options = ("--paired-bs -f text", "--paired-ar -f text") if len(runs) > 1 else ("--confidence",)
        commands = " and ".join(f"<code>{html_text(f'{command} {option}')}</code>" for option in options)
        equal = " Systems that nothing tells apart have p = 1 here." if len(runs) > 1 else ""
        return "".join([*parts, f"<p>sacreBLEU gives the same figures: {commands}.{equal}</p>"])

    def _figure(
        self, title: str, description: str, draw: Callable[[Any], None], size: tuple[float, float] = (5.2, 3.4)
    ) -> str:
        return plots.figure(f"f{next(self.numbers)}-", title, description, draw, size)

    def _table(self, table: Table) -> str:
        title, header, rows = table
        return self._html_table(title, header, [[html_text(cell) for cell in row] for row in rows]) if rows else ""

    def _html_table(self, title: str, header: Sequence[str], rows: Iterable[Sequence[str]], words: bool = False) -> str:
        """A table in an area that scrolls, by keyboard too; the cells are HTML, title and header are not."""
        key = f"t{next(self.numbers)}"
        head = "".join(f'<th scope="col">{html_text(cell)}</th>' for cell in header)
        lines = "".join(
            f'<tr><th scope="row">{row[0]}</th>{"".join(f"<td>{cell}</td>" for cell in row[1:])}</tr>\n' for row in rows
        )
        return (
            f'<div class="scroll" role="region" tabindex="0" aria-labelledby="{key}">'
            f'<table{" class=words" * words}><caption id="{key}">{html_text(title)}</caption>'
            f"<thead><tr>{head}</tr></thead>\n<tbody>{lines}</tbody></table></div>\n"
        )


def scores_by_unknown(runs: Sequence[ScoredRun], names: Sequence[str], tokenize: str) -> Table:
    """BLEU with and without unknown source words, of all runs on the same sentences.

    So runs that know every word show how hard these sentences are. An unknown word of the output is one token, so that
    what is seen is how well the rest is translated.
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
