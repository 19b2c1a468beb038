"""The scripts of the page do with text, and in the search, what the exported program does; in Chromium."""

import json
import math
import random
import sys
import unicodedata

import numpy as np
import pytest

from tests.browser import chromium, watch, web_server
from tests.unit.export.test_portable_text import LEVELS, ODD, TEXTS, codec_of
from wordseq.export import translate
from wordseq.export.browser.folder import SITE, write_web_side
from wordseq.export.onnx_folder import write_side
from wordseq.export.portable_text import ExportedSide, _case_twins, normalised
from wordseq.text.tokenizers import train_tokenizer
from wordseq.text.vocab import UNK_ID

SIGNS = (
    *"aeiouAEtßǆǄΣσςİıᾀᾲᾼაﬁﬀœéÉñ'’\"“«-–—….,;:!?()[]<>▁▅￭￮_#@&%0123456789１２ＯｕⅣ²½٣۳۵𝟘𝟡①㎏ﾊﾟﷺ你好。、한ក្តिनมำ",
    *(
        "e\u0301",
        "\u0301",
        "\u0327\u0301",
        "\u200d",
        "\u200c",
        "\u200b",
        "\ufe0f",
        "\u00ad",
        "\ufeff",
        "\ufffd",
        "<unk>",
    ),
    *(
        "🇫🇷",
        "🇩",
        "👩‍👩‍👧",
        "👍🏽",
        "🏽",
        "❤️",
        "\u0600",
        "\u06dd",
        "\u0605\u0301",
        "\u20dd",
        "\U0001d167",
        "<0x41>",
        "</s>",
    ),
    *(
        "\t",
        "\u00a0",
        "\u2009",
        "\u2028",
        "\x85",
        "\x1c",
        "\x00",
        "\x9f",
        "\u0344",
        "\u0345",
        "\u0f73",
        "\u1ab0",
        "ﬅ",
        "ŉ",
        "ΐ",
    ),
)


def some_texts(number: int) -> list[str]:
    """Words and signs in any order, many of them in other forms."""
    rng = random.Random(3)
    words = sorted({word for text in TEXTS for word in text.split()})
    change = (str, str, str.upper, str.capitalize, str.swapcase, lambda word: word.replace("'", "’"))
    parts = [
        [
            rng.choice(change)(rng.choice(words)) if rng.random() < 0.5 else rng.choice(SIGNS)
            for _ in range(rng.randint(1, 9))
        ]
        for _ in range(number)
    ]
    return [*ODD, *TEXTS[:20], *("".join(part + rng.choice(("", " ")) for part in row) for row in parts)]


STORMS = [
    "e" + "\u0301\u0327" * 600,
    ("e" + "\u0301" * 31) * 40,
    "\u0334" * 40 + "x" * 1000,
    ("\u0f73\u0345" * 40 + "é") * 20,
]


@pytest.fixture(scope="module")
def tab(tmp_path_factory):
    """A tab of a server of the scripts."""
    with chromium() as browser, web_server(SITE) as server:
        tab = watch(browser.new_page())
        tab.route("**/favicon.ico", lambda route: route.fulfill(status=204))
        tab.goto(f"http://127.0.0.1:{server.server_port}/search.js")
        yield tab
        assert tab.problems == []


def test_texts_are_normalised(tab):
    texts = [*some_texts(300), *STORMS]
    found = tab.evaluate(
        "async texts => { const {normalised} = await import('./text.js'); return texts.map(normalised); }", texts
    )
    assert found == list(map(normalised, texts))


def test_marks_and_letters_are_those_of_unicode(tab):
    chars = [char for char in map(chr, range(sys.maxunicode + 1)) if unicodedata.category(char) != "Cs"]
    marks = [char for char in chars if unicodedata.category(char)[0] == "M"]
    cased = [char for char in chars if char.lower() != char or char.upper() != char]
    words = [word for char in cased for word in (char, f"{char}a", f"a{char}")]
    script = """async ({marks, words}) => {
      const {isOrdered, caseTwins} = await import("./text.js");
      return [marks.map(isOrdered), words.map(caseTwins)];
    }"""
    ordered, twins = tab.evaluate(script, {"marks": marks, "words": words})
    assert [char for char, found in zip(marks, ordered, strict=True) if found] == list(
        filter(unicodedata.combining, marks)
    )
    assert {word: found for word, found in zip(words, twins, strict=True) if found != _case_twins(word)} == {}


READ = """async ({sides, texts, features, outputs}) => {
  const {Side} = await import("./text.js");
  const [src, tgt] = sides.map(({about, tokens, scores}) => new Side(about, tokens, scores));
  return {
    ids: texts.map((text, k) => src.toIds(text + features[k])),
    wholes: texts.map((text) => src.wholeWords(text)),
    copied: texts.map((text) => src.wholeWords(text).map((word) => src.asTarget(word, tgt))),
    texts: outputs.map((ids) => tgt.text(tgt.names(ids))),
  };
}"""


@pytest.mark.parametrize("name", LEVELS)
def test_text_becomes_the_same_ids_and_ids_the_same_text(tab, tmp_path, name):
    rng = random.Random(5)
    sides, given = [], []
    for side in ("src", "tgt"):
        codec = codec_of(name, side)
        about = write_side(codec, tmp_path, side)
        sides.append(ExportedSide(tmp_path, side, about))
        web = write_web_side(about, codec, tmp_path, side)
        pieces = json.loads((tmp_path / web["pieces"]).read_text()) if web["pieces"] else None
        tokens = json.loads((tmp_path / f"{side}.vocab.json").read_text(encoding="utf-8"))["tokens"]
        given.append({"about": web, "tokens": tokens, "scores": pieces})
    src, tgt = sides
    texts = list(map(normalised, some_texts(100)))
    features = ["\tV;9" if src.feature_separator else ""] * len(texts)
    outputs = [[rng.randrange(1, len(tgt.tokens)) for _ in range(rng.randint(0, 9))] for _ in range(100)]
    values = {"sides": given, "texts": texts, "features": features, "outputs": outputs}
    found = tab.evaluate(READ, values)
    for k, text in enumerate(texts):
        assert found["ids"][k] == src.to_ids(text + features[k])
        assert found["wholes"][k] == src.whole_words(text)
        assert found["copied"][k] == [src.as_target(word, tgt) for word in src.whole_words(text)]
    assert found["texts"] == [tgt.text(tgt.names(ids)) for ids in outputs]


@pytest.mark.parametrize("level", ["bpe", "unigram"])
def test_texts_that_can_be_cut_in_many_ways_are_cut_as_sentencepiece_does(tab, level):
    rng = random.Random(7)
    texts = ["".join(rng.choice("aaaab ") for _ in range(rng.randint(1, 30))).strip() or "a" for _ in range(300)]
    tokenizer = train_tokenizer(level, texts[:200], subword_size=290)
    script = """async ({level, scores, texts}) => {
      const {pieceEncoder} = await import("./pieces.js");
      return texts.map(pieceEncoder(level, new Map(Object.entries(scores))));
    }"""
    found = tab.evaluate(script, {"level": level, "scores": dict(tokenizer.scores), "texts": [*texts, "abcé"]})
    assert found == [tokenizer.tokenize(text) for text in [*texts, "abcé"]]
    assert any("aaa" in tokens for tokens in found)


# --- search

SEARCH = """async ({table, ends, weights, rows, limits, beam, size, lengthPenalty, allowed}) => {
  const {search} = await import("./search.js");
  const decoder = ({last_ids, count, memory, state_0}) => {
    const [b, k] = last_ids.dims;
    const n = Number(count.data[0]);
    const found = {log_probs: [], ids: [], end_log_probs: [], next_state_0: [], weights: []};
    for (let row = 0; row < b * k; row++) {
      const state = (state_0.data[row] * 3 + last_ids.data[row] + memory.data[Math.floor(row / k)]) % table.length;
      const values = table[state].map((value, id) => [value ?? -Infinity, id]);
      values.sort((x, y) => y[0] - x[0] || x[1] - y[1]);
      found.log_probs.push(...values.slice(0, n).map(([value]) => value));
      found.ids.push(...values.slice(0, n).map(([, id]) => BigInt(id)));
      found.end_log_probs.push(table[state][3] ?? -Infinity);
      found.next_state_0.push(state);
      found.weights.push(...weights[state]);
    }
    const tensor = (type, kind, name, dims) => ({type, dims, data: kind.from(found[name])});
    return {
      log_probs: tensor("float32", Float32Array, "log_probs", [b, k, n]),
      ids: tensor("int64", BigInt64Array, "ids", [b, k, n]),
      end_log_probs: tensor("float32", Float32Array, "end_log_probs", [b, k]),
      next_state_0: tensor("float32", Float32Array, "next_state_0", [b, k, 1]),
      weights: tensor("float32", Float32Array, "weights", [b, k, weights[0].length]),
    };
  };
  const given = {
    memory: {type: "float32", dims: [rows.length, 1], data: Float32Array.from(rows)},
    state_0: {type: "float32", dims: [rows.length, 1, 1], data: Float32Array.from(rows)},
  };
  const places = allowed && allowed.map((row) => new Set(row));
  return search(decoder, given, limits, beam, {size, lengthPenalty, allowed: places});
}"""


@pytest.mark.parametrize(("beam", "alpha"), [(1, 1.0), (2, 0.0), (3, 1.0), (5, 0.6)])
def test_the_search_finds_what_the_program_finds(tab, beam, alpha):
    rng = np.random.default_rng(beam)
    size, sentences, states = 7, 9, 11
    table = np.round(rng.normal(size=(states, size)), 1).astype(
        np.float32
    )  # Rounded: ties are decided in the same way too.
    table[:, [0, 2]] = -np.inf
    table[:3, 3] = -np.inf
    weights = np.round(rng.random((states, 4)), 1).astype(np.float32)
    allowed = rng.random((sentences, 4)) < 0.6
    limits = rng.integers(1, 12, sentences)

    def decoder(given):
        state = (given["state_0"][:, :, 0] * 3 + given["last_ids"] + given["memory"]).astype(int) % states
        best = np.argsort(-table[state], -1, kind="stable")[:, :, : int(given["count"][0])]
        return {
            "log_probs": np.take_along_axis(table[state], best, -1),
            "ids": best,
            "end_log_probs": table[state][:, :, 3],
            "next_state_0": state[:, :, None].astype(np.float32),
            "weights": weights[state],
        }

    rows = np.arange(sentences, dtype=np.float32)
    memory = {"memory": rows[:, None], "state_0": rows[:, None, None], "allowed": allowed[:, None]}
    wanted = translate._Search(decoder, memory, limits, beam, size, alpha).run()
    values = {
        "table": [[None if math.isinf(value) else float(value) for value in row] for row in table],
        "weights": weights.tolist(),
        "rows": rows.tolist(),
        "limits": limits.tolist(),
        "allowed": [np.flatnonzero(row).tolist() for row in allowed],
        "beam": beam,
        "size": size,
        "lengthPenalty": alpha,
        "ends": 3,
    }
    found = tab.evaluate(SEARCH, values)
    assert [best[0]["ids"] for best in found] == [one.ids for one in wanted]
    assert [best[0]["logProb"] for best in found] == pytest.approx([one.log_prob for one in wanted])
    for best, one in zip(found, wanted, strict=True):
        assert len(best) <= beam
        assert [hyp["score"] for hyp in best] == sorted((hyp["score"] for hyp in best), reverse=True)
        places = [place for id_, place in zip(best[0]["ids"], best[0]["places"], strict=True) if id_ == UNK_ID]
        assert places == [place for id_, place in zip(one.ids, one.places, strict=True) if id_ == UNK_ID]
    assert any(UNK_ID in one.ids for one in wanted)


ARGUMENTS = """async () => {
  const {Translator} = await import("./translator.js");
  const translator = new Translator({search: {beam_size: 2}}, {}, {}, []);
  const calls = [
    () => translator.translate("I am cold."), () => translator.translate(["a", 5]), () => translator.translate(),
    ...[1.5, -1, "5", NaN, null].map((beam) => () => translator.several([], beam)),
    () => translator.attention(["a"], [[{ids: [], parts: []}]]), () => translator.attention(["a"], []),
    () => translator.attention("a", ["a"]), () => translator.translate([], 0),
  ];
  return Promise.all(calls.map((call) => call().then(String, String)));
}"""


def test_a_wrong_argument_is_named_with_what_to_pass(tab):
    tab.route(
        "**/onnxruntime.js", lambda route: route.fulfill(body="export const env = {};", content_type="text/javascript")
    )
    lines, outputs = 'pass a list of strings, such as ["I am cold."]', "pass for each line one object of several()"
    beams = [
        f"TypeError: beam is {beam}; pass a whole number, such as 5, or 0 for the beam of the run"
        for beam in ("1.5", "-1", '"5"', "NaN", "null")
    ]
    assert tab.evaluate(ARGUMENTS) == [
        f'TypeError: lines is "I am cold."; {lines}',
        f"TypeError: lines[1] is 5; {lines}",
        f"TypeError: lines is undefined; {lines}",
        *beams,
        *[f"TypeError: outputs: {outputs}, such as found.map(([best]) => best)"] * 2,
        f'TypeError: lines is "a"; {lines}',
        "",
    ]


# --- sentences


def test_a_text_keeps_its_lines_and_spaces(tab):
    text = "I saw Mr. Smith. He is ill!\r\n\n  Where is J. Brown? \t\n \n...\n你好。再见。"
    script = """async (text) => {
      const {planText, splitSentences} = await import("./sentences.js");
      const plan = planText(text, (line) => splitSentences(line, "en"));
      return [plan.sentences, plan.join(plan.sentences.map((one) => one.toUpperCase())), planText("", () => []).sentences];
    }"""
    sentences, joined, none = tab.evaluate(script, text)
    assert sentences == ["I saw Mr. Smith.", "He is ill!", "Where is J. Brown?", "...", "你好。", "再见。"]
    assert joined == "I SAW MR. SMITH. HE IS ILL!\r\n\n  WHERE IS J. BROWN? \t\n \n...\n你好。再见。"
    assert none == []
