import html
import importlib.util
import itertools
import json
import re
import shlex
from html.parser import HTMLParser

import pytest

from tests.browser import chromium, watch
from tests.fake_runs import fake_run, few_draws, some_test, with_errors
from wordseq.cli.main import main
from wordseq.comparison.attention import END, Alignment, chosen_sentences
from wordseq.comparison.compare import compare_runs
from wordseq.comparison.page import plots
from wordseq.comparison.page.html import marked_differences, render_page, scores_by_unknown
from wordseq.comparison.scored_runs import read_run
from wordseq.data.splits import HeldOut
from wordseq.evaluation.metrics.bleu import bleu
from wordseq.evaluation.metrics.symbols import Symbols
from wordseq.evaluation.tables import NOTHING, one_line
from wordseq.system.errors import UserError

pytest.importorskip("matplotlib")
pytest.importorskip("jinja2")

HOSTILE = (
    "<script>document.title = 'hit'</script> <img src=x onerror=alert(1)>",
    """quotes " ' ` and &amp; &lt;b> ]]> --> </table></svg>""",
    "مرحبا بالعالم שלום \u202e turned",
    "emoji 👩‍👩‍👧 $x^2$ $\\frac{",
)
SECTIONS = ("summary", "curves", "scores", "kinds", "samples", "attention", "statistics", "settings")
VOID = {"meta", "br", "img", "link", "input", "hr"}


class Outline(HTMLParser):
    """Elements with their attributes, text, and whether every end tag closes what was opened last."""

    def __init__(self, text):
        super().__init__(convert_charrefs=True)
        self.elements, self.open, self.texts, self.wrong = [], [], [], []
        self.feed(text)
        self.close()

    def handle_starttag(self, tag, attrs):
        self.elements.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attrs):
        self.elements.append((tag, dict(attrs)))

    def handle_endtag(self, tag):
        if not self.open or self.open.pop() != tag:
            self.wrong.append(tag)

    def handle_data(self, data):
        self.texts.append(data)

    def all(self, *tags):
        return [attributes for tag, attributes in self.elements if tag in tags]


def hostile_runs(folder):
    """Two runs, one of them with a hostile name, whose sentences are hostile in source, reference and translation."""
    test = some_test(12)
    test = HeldOut([*HOSTILE, *test.sources], [*([text] for text in HOSTILE), *test.references])
    hyps = [*(f"{text} and more" for text in HOSTILE), *with_errors(test, 0.2)[4:]]
    named = fake_run(folder / "<b>\"name'", test, hyps, "model.attention=none")
    return [read_run(fake_run(folder / "plain", test, with_errors(test, 0.5))), read_run(named)]


def looks_of(run):
    """Attention to the first token only."""
    found = []
    for i in chosen_sentences(run.test.sources):
        src, tgt = ([*text.split(), END] for text in (run.test.sources[i], run.hyps[i]))
        found.append(Alignment(src, tgt, [[1.0] + [0.0] * (len(src) - 1)] * len(tgt)))
    return {run.folder: found}


@pytest.fixture(scope="module", autouse=True)
def _few_draws():
    with few_draws():
        yield


@pytest.fixture
def no_charts(monkeypatch):
    """Pages have a word in place of each chart: to draw them takes most of the time."""
    monkeypatch.setattr(plots, "svg", lambda chart, prefix: "chart")


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    return hostile_runs(tmp_path_factory.mktemp("runs"))


@pytest.fixture(scope="module")
def result(runs):
    return compare_runs(runs, command="wordseq compare <x>")


@pytest.fixture(scope="module")
def text(runs, result):
    return render_page(runs, result, looks_of(runs[0]))


@pytest.fixture(scope="module")
def outline(text):
    return Outline(text)


def test_every_tag_is_closed_and_every_id_is_unique(outline):
    assert not outline.wrong
    assert not outline.open
    ids = [attributes["id"] for _, attributes in outline.elements if "id" in attributes]
    assert len(ids) == len(set(ids))
    targets = [attributes.get("href", "") for attributes in outline.all("a")]
    assert all(target[1:] in ids for target in targets)
    labels = [attributes["aria-labelledby"] for _, attributes in outline.elements if "aria-labelledby" in attributes]
    assert set(labels) <= set(ids)


def test_references_inside_pictures_point_into_the_same_page(text, outline):
    ids = {attributes["id"] for _, attributes in outline.elements if "id" in attributes}
    links = [attributes["xlink:href"] for _, attributes in outline.elements if "xlink:href" in attributes]
    assert all(link.startswith("data:image/png") or link[1:] in ids for link in links)
    assert set(re.findall(r"url\(#([^)]+)\)", text)) <= ids


def test_hostile_text_is_text(outline, text):
    shown = " ".join(outline.texts)
    for hostile in HOSTILE:
        assert one_line(hostile) in shown
    assert not outline.all("script", "img", "b", "iframe", "object", "link")
    assert not [name for _, attributes in outline.elements for name in attributes if name.startswith("on")]
    assert "\u202e" not in text


def test_nothing_comes_from_the_network(outline, text):
    addresses = {
        value for _, attributes in outline.elements for value in attributes.values() if value and "://" in value
    }
    assert addresses <= {"http://www.w3.org/2000/svg", "http://www.w3.org/1999/xlink"}
    policy = next(found["content"] for found in outline.all("meta") if "http-equiv" in found)
    assert policy.startswith("default-src 'none'")
    assert "@import" not in text
    assert len(text.encode()) < 3_000_000


def test_it_has_all_sections_and_what_screen_readers_need(outline):
    assert outline.all("html") == [{"lang": "en"}]
    assert [found["id"] for found in outline.all("h2")] == list(SECTIONS)
    assert len(outline.all("h1")) == len(outline.all("main")) == 1
    assert outline.all("a")[0] == {"class": "skip", "href": "#main"}
    assert len(outline.all("table")) == len(outline.all("caption")) > 8
    assert all("scope" in found for found in outline.all("th"))
    assert all(found.get("role") == "img" and found.get("aria-label") for found in outline.all("svg"))
    scrolled = [found for _, found in outline.elements if found.get("class") == "scroll"]
    assert all(found["tabindex"] == "0" and found["role"] == "region" for found in scrolled)
    assert len(scrolled) >= len(outline.all("table"))


def test_levels_of_headings_are_not_skipped(outline):
    levels = [int(tag[1]) for tag, _ in outline.elements if re.fullmatch("h[1-6]", tag)]
    assert all(after <= before + 1 for before, after in itertools.pairwise(levels))


@pytest.mark.parametrize(
    ("hyp", "references"),
    [
        ("the red boat", ["the blue boat waits"]),
        ("a b c", ["x y", "a b d"]),
        ("<i> & 'x'", ["<b> & 'x'"]),
        ("", ["a b"]),
    ],
)
def test_marked_differences_give_both_texts(hyp, references):
    marked = marked_differences(hyp, references)

    def without(left_out):
        return " ".join(words for mark, words in marked if mark != left_out).split()

    assert {mark for mark, _ in marked} <= {"", "del", "ins"}
    assert without("del") == hyp.split()
    assert without("ins") in [reference.split() for reference in references]


def test_a_perfect_translation_has_no_marks():
    assert marked_differences("a b", ["x", "a b"]) == [("", "a b")]
    assert marked_differences("", [""]) == []


@pytest.mark.usefixtures("no_charts")
def test_marks_on_the_page(tmp_path):
    test = some_test(5)
    test.references[2].append("")
    texts = [references[0] for references in test.references]
    hyps = [f"{texts[0]} y&", "", "", *texts[3:]]
    runs = [read_run(fake_run(tmp_path / "run", test, hyps))]
    samples = render_page(runs, compare_runs(runs)).partition('id="samples"')[2].partition("</section>")[0]
    added, missing, empty, *equal = map(str.strip, re.findall(r"<td>(.*?)</td>", samples, re.DOTALL)[2::3])
    assert html.unescape(added) == f'<span dir="auto">{texts[0]} <ins>y&</ins></span>'
    assert "<ins>y&amp;</ins>" in added
    assert html.unescape(missing) in [f'<span dir="auto"><del>{text}</del></span>' for text in test.references[1]]
    assert empty == '<span class="empty">(empty)</span>'
    assert list(map(html.unescape, equal)) == [f'<span dir="auto">{text}</span>' for text in texts[3:]]


def test_each_attention_is_that_of_its_own_translation(text, runs):
    """Below each picture the strongest weights are listed: a row for each token of that translation."""
    tables = text.split("Strongest attention of")[1:]
    listed = [[html.unescape(token) for token in re.findall(r'<th scope="row">(.*?)</th>', table)] for table in tables]
    chosen = chosen_sentences(runs[0].test.sources)
    for i, tokens in zip(chosen, listed, strict=True):
        assert tokens[: tokens.index(END) + 1] == [*map(one_line, runs[0].hyps[i].split()), END]
    assert len({tuple(tokens[:3]) for tokens in listed}) == len(chosen)


def test_attention_is_of_runs_that_have_it(outline, runs):
    labels = [found["aria-label"] for found in outline.all("svg")]
    assert sum("Attention of plain" in label for label in labels) == len(chosen_sentences(runs[0].test.sources))
    assert not [label for label in labels if label.startswith("Attention of <b>")]
    assert any("Runs without attention" in shown for shown in outline.texts)


def test_commands_on_the_page_name_the_files_whatever_is_in_their_names(outline, runs):
    commands = [shlex.split(shown) for shown in outline.texts if shown.startswith(("sacrebleu ", "wordseq train "))]
    assert [words[:1] for words in commands] == [["wordseq"]] * len(runs) + [["sacrebleu"]] * 2
    for run, words in zip(runs, commands, strict=False):
        assert words[2:] == [str(run.folder / "config.toml"), "--run", "NEW"]
    for words, test in zip(commands[len(runs) :], ("--paired-bs", "--paired-ar"), strict=True):
        assert words[1] == str(runs[0].folder / "eval" / "test.ref*")
        assert words[3:5] == [str(run.folder / "eval" / "test.hyp") for run in runs]
        assert test in words


def test_the_same_runs_give_the_same_page(runs, result, text):
    assert render_page(runs, result, looks_of(runs[0])) == text


def test_all_runs_are_scored_on_the_sentences_with_tokens_unknown_to_one_of_them(tmp_path):
    test = HeldOut(["a b", "b a", "a rare b", "b b a a"], [["c d e f"], ["d c f e"], ["c x d e"], ["d d c c"]])
    hyps = ["c d e f", "f e d c", "c x d e", "d d c <unk>"]
    knows_all = fake_run(tmp_path / "all", test, hyps)
    lacks_one = fake_run(tmp_path / "few", test, hyps[::-1], "data.min_freq=2")
    spells_one = fake_run(tmp_path / "spells", test, hyps, "data.min_freq=2", "data.rare_words=spell")
    # The vocabulary lacks a spelled word too.
    _, header, rows = scores_by_unknown([read_run(spells_one)], ["one"], "13a")
    assert (header[2:], rows[0][1]) == (("BLEU of the 1 with a token that some run lacks", "BLEU of the other 3"), "1")
    runs = [read_run(folder) for folder in (knows_all, lacks_one)]
    _, header, rows = scores_by_unknown(runs, ["all", "few"], "13a")
    assert header[2:] == ("BLEU of the 1 with a token that some run lacks", "BLEU of the other 3")
    for row, run, lacking in zip(rows, runs, ("0", "1"), strict=True):
        others = bleu(
            [run.hyps[i].replace("<unk>", "wrong") for i in (0, 1, 3)], [run.test.references[i] for i in (0, 1, 3)]
        )
        of_these = bleu(run.hyps[2:3], run.test.references[2:3])
        assert row[1:] == (lacking, f"{of_these:.1f}", f"{others:.1f}")
    assert rows[0][2] == "100.0"
    assert scores_by_unknown(runs[:1], ["all"], "13a")[2][0][2] == NOTHING


def test_one_run_has_a_page_too(runs):
    alone = Outline(render_page(runs[1:], compare_runs(runs[1:])))
    assert [found["id"] for found in alone.all("h2")] == list(SECTIONS)


@pytest.mark.usefixtures("no_charts")
def test_the_best_validation_is_named_with_its_update_wherever_it_is_in_the_log(tmp_path):
    test = some_test(6)
    for k, best in enumerate((0, 1, 2)):
        folder = fake_run(tmp_path / str(k), test, with_errors(test, 0.5))
        log = [
            {
                "kind": "dev",
                "step": 10 * n,
                "epoch": n,
                "bleu": 30.0 + 5 * (n == best + 1),
                "loss": 1.0,
                "seconds": 60.0 * n,
            }
            for n in (1, 2, 3)
        ]
        (folder / "metrics.jsonl").write_text("".join(f"{json.dumps(entry)}\n" for entry in log), encoding="utf-8")
        runs = [read_run(folder)]
        cells = Outline(render_page(runs, compare_runs(runs))).texts
        shown = [cell.strip() for cell in cells if cell.strip()]
        place = shown.index("Best checkpoint")
        assert shown[place - 2 : place + 8] == [
            *("Run", "Validations", "Best checkpoint", "At update", "Total minutes"),
            *(str(k), "3", "dev BLEU 35.00", str(10 * (best + 1)), "3.0"),
        ]


@pytest.mark.parametrize(
    ("units", "hyp", "found"),
    [
        (Symbols(), "gegangt", [("", "gegang"), ("del", "en"), ("ins", "t")]),
        (Symbols("|"), "g|e|x", [("del", "gegangen"), ("ins", "g|e|x")]),
        (Symbols(" "), "gegangen  ", [("", "gegangen")]),
    ],
)
def test_differences_of_words_are_marked_in_their_symbols(units, hyp, found):
    assert marked_differences(hyp, ["gegangen", "zzz"], units) == found


@pytest.mark.usefixtures("no_charts")
def test_a_page_about_words_has_exact_and_what_chose_the_checkpoints(tmp_path):
    test = HeldOut(["aa", "bbbbb", "cc"], [["a"], ["b"], ["c"]])
    runs = []
    for name, hyps, select_by in (("one", ["a", "x", "c"], "ser"), ("two", ["x", "x", "c"], "ser")):
        folder = fake_run(tmp_path / name, test, hyps, f"train.select_by={select_by}")
        log = [
            {"kind": "dev", "step": 9, "epoch": 1, "bleu": 0.0, "ser": 60.0 - n, "loss": 1.0, "seconds": 6.0}
            for n in (0, 5, 3)
        ]
        # An entry without what decides is not shown.
        lines = [*log, {**log[0], "ser": None}]
        lines[-1].pop("ser")
        (folder / "metrics.jsonl").write_text("".join(f"{json.dumps(entry)}\n" for entry in lines), encoding="utf-8")
        runs.append(read_run(folder))
    shown = [cell.strip() for cell in Outline(render_page(runs, compare_runs(runs))).texts if cell.strip()]
    assert any(re.match(r"Best EXACT: one, 66.7", cell) for cell in shown)
    assert shown.count("dev SER 55.00") == 2
    assert "Dev SER over updates" in shown
    place = shown.index("Source characters")
    assert shown[place : place + 12] == [
        *("Source characters", "Words", "one", "two"),
        *("1-3", "2", "100.0", "50.0"),
        *("4-6", "1", "0.0", "0.0"),
    ]
    assert any(cell.startswith("EXACT with and without tokens that a source vocabulary lacks") for cell in shown)


@pytest.mark.usefixtures("no_charts")
def test_the_command_writes_the_page(runs, tmp_path, capsys):
    folder = str(runs[1].folder)
    assert main(["report", folder, "--html", str(tmp_path / "page.html")]) == 0
    assert (tmp_path / "page.html").read_text(encoding="utf-8").startswith("<!DOCTYPE html>")
    assert str(tmp_path / "page.html") in capsys.readouterr().err
    assert main(["report", folder, "--html", str(tmp_path / "none" / "page.html")]) == 2


@pytest.mark.parametrize(
    ("missing", "named"),
    [
        (["matplotlib"], "matplotlib, which is"),
        (["jinja2"], "jinja2, which is"),
        (["matplotlib", "jinja2"], "matplotlib and jinja2, which are"),
    ],
)
def test_without_a_library_the_message_names_it_and_the_command(
    runs, result, monkeypatch, tmp_path, capsys, missing, named
):
    find_spec = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None if name in missing else find_spec(name))
    with pytest.raises(UserError, match=r"pip install 'wordseq\[report\]'"):
        render_page(runs, result)
    assert main(["report", str(runs[0].folder), "--html", str(tmp_path / "page.html")]) == 2
    assert f"needs {named} not installed" in capsys.readouterr().err
    assert not list(tmp_path.iterdir())


# --- in a browser


@pytest.fixture(scope="module")
def browser():
    with chromium() as opened:
        yield opened


@pytest.fixture(scope="module")
def tab(browser, text, tmp_path_factory):
    """One tab that notes what goes wrong in it."""
    path = tmp_path_factory.mktemp("page") / "page.html"
    path.write_text(text, encoding="utf-8")
    tab = watch(browser.new_page())
    tab.goto(path.as_uri())
    return tab


def test_in_a_browser_hostile_text_is_shown_without_errors(tab):
    assert tab.problems == []
    assert {url.partition(":")[0] for url in tab.requests} <= {"file", "data"}
    assert tab.title() == "wordseq: plain, <b>\"name'"
    shown = " ".join(tab.inner_text("#main").split())
    for hostile in HOSTILE:
        assert " ".join(one_line(hostile).split()) in shown
    assert tab.locator("script, img, #main b").count() == 0
    for section in SECTIONS:
        assert tab.locator(f"h2#{section}").is_visible()


def test_in_a_browser_dark_and_light_differ_and_can_be_read(tab):
    def luminance(property_):
        colour = tab.evaluate(f"getComputedStyle(document.body).{property_}")
        parts = [int(part) / 255 for part in re.findall(r"\d+", colour)[:3]]
        parts = [part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts]
        return sum(weight * part for weight, part in zip((0.2126, 0.7152, 0.0722), parts, strict=True))

    for scheme, brighter in (("light", "backgroundColor"), ("dark", "color")):
        tab.emulate_media(color_scheme=scheme)
        levels = {name: luminance(name) for name in ("backgroundColor", "color")}
        assert max(levels, key=levels.get) == brighter
        # WCAG 2: 7 is AAA.
        assert (max(levels.values()) + 0.05) / (min(levels.values()) + 0.05) > 7
        picture = tab.evaluate("getComputedStyle(document.querySelector('svg text')).fill")
        assert picture == tab.evaluate("getComputedStyle(document.body).color")


def test_in_a_browser_a_phone_scrolls_tables_but_not_the_page(tab):
    tab.set_viewport_size({"width": 360, "height": 740})
    assert tab.evaluate("document.documentElement.scrollWidth") <= 360
    widths = tab.evaluate("[...document.querySelectorAll('.scroll')].map(e => [e.scrollWidth, e.clientWidth])")
    assert any(whole > seen for whole, seen in widths)
    assert tab.evaluate("[...document.querySelectorAll('svg')].every(e => e.getBoundingClientRect().width <= 360)")


def test_in_a_browser_the_keyboard_reaches_the_skip_link_then_everything_that_scrolls(tab):
    tab.keyboard.press("Tab")
    assert tab.evaluate("document.activeElement.className") == "skip"
    assert tab.evaluate("document.activeElement.getBoundingClientRect().left >= 0")
    tab.keyboard.press("Enter")
    assert tab.evaluate("document.activeElement.id") == "main"
    tab.keyboard.press("Tab")
    assert tab.evaluate("document.activeElement.className") == "scroll"
