"""Settings by the data: which, when, and that a given one wins."""

import dataclasses
import re
from pathlib import Path

import pytest

from tests.fake_runs import FACTS
from wordseq.config.auto import RULES, Facts, decide, decided_values, subword_size
from wordseq.config.fields import AUTO
from wordseq.config.load import check_setting, config_from_dict, config_to_dict, load_config, to_toml
from wordseq.config.schema import AUTO_KEYS, by_key
from wordseq.system.errors import UserError

LEVELS = [("word", "word"), ("bpe", "bpe"), ("char", "char"), ("char", "symbols")]
CASES = [
    Facts(pairs, levels, words)
    for pairs in (1, 300, 3_000, 25_000, 200_000, 10_000_000)
    for levels in LEVELS
    for words in (False, True)
]


def test_each_setting_that_may_be_auto_has_one_rule():
    assert sorted(rule.key for rule in RULES) == sorted(AUTO_KEYS)
    assert all(rule.reason for rule in RULES)


@pytest.mark.parametrize("cell", ["gru", "lstm"])
def test_rules_give_settings_that_are_allowed_together_for_data_of_any_size(cell, tmp_path):
    for facts in CASES:
        config = decide(load_config(None, [f"model.cell={cell}"]), facts)
        values = by_key(config)
        assert AUTO not in {values[key] for key in AUTO_KEYS}
        # Of their types and in their bounds, and without conflicts.
        for key in AUTO_KEYS:
            section, _, name = key.partition(".")
            checked = check_setting(section, name, values[key], "here")
            assert (checked, type(checked)) == (values[key], type(values[key]))
        assert config_from_dict(config_to_dict(config), "here") == config
    (tmp_path / "config.toml").write_text(to_toml(config), encoding="utf-8")
    assert load_config(tmp_path / "config.toml") == config


@pytest.mark.parametrize("key", AUTO_KEYS)
def test_a_setting_that_was_given_wins_and_auto_is_as_if_nothing_was_given(key):
    value = by_key(decide(load_config(None), FACTS))[key]
    other = (
        {"exact": "ser", "bleu": "chrf", "plateau": "constant"}.get(value, "unk")
        if isinstance(value, str)
        else value / 2
        if isinstance(value, float)
        else value * 2 or 1
    )
    given = decide(load_config(None, (), {key: type(value)(other)}), FACTS)
    assert by_key(given)[key] == type(value)(other) != value
    assert decide(load_config(None, (), {key: AUTO}), FACTS) == decide(load_config(None), FACTS)
    assert key not in decided_values(load_config(None, (), {key: type(value)(other)}), given)


def test_the_settings_that_were_decided_are_said_but_not_those_without_effect():
    asked = load_config(None, ["model.dropout=0.1"])
    said = decided_values(asked, decide(asked, FACTS))
    assert said.startswith("data.rare_words spell, model.embed_dim 256, ")
    assert "model.dropout" not in said
    assert "subword_size" not in said
    subwords = load_config(None, ["data.tgt_level=bpe"])
    assert "data.subword_size 512, " in decided_values(
        subwords, decide(subwords, dataclasses.replace(FACTS, subword_size=512))
    )
    complete = decide(asked, FACTS)
    assert decided_values(complete, complete) == ""


def test_auto_is_no_value_of_other_settings():
    for key in ("model.cell", "train.seed", "train.clip_norm", "data.lowercase"):
        with pytest.raises(UserError, match=key):
            load_config(None, (), {key: AUTO})


def test_layers_and_vectors_that_are_tied_get_one_size():
    for given in ([], ["model.hidden_size=96"]):
        model = decide(load_config(None, ["model.tie_embeddings=true", *given]), FACTS).model
        assert model.embed_dim == model.hidden_size


def test_target_vectors_are_large_but_for_characters_and_symbols_and_of_the_size_of_pretrained_ones():
    for levels, expected in (
        (("char", "word"), (256, 0.1)),
        (("word", "char"), (64, 1.0)),
        (("word", "symbols"), (64, 1.0)),
    ):
        model = decide(load_config(None), dataclasses.replace(FACTS, levels=levels)).model
        assert (model.embed_dim, model.embed_scale) == expected
    assert decide(load_config(None), dataclasses.replace(FACTS, vector_size=50)).model.embed_dim == 50


def test_epochs_do_not_end_a_training_whose_minutes_or_updates_are_limited():
    usual = decide(load_config(None), FACTS).train.max_epochs
    for limit in ("train.max_minutes=5", "train.max_steps=5"):
        assert decide(load_config(None, [limit]), FACTS).train.max_epochs > 10 * usual


def test_there_is_a_subword_for_each_character():
    assert subword_size(1, 9_000) > 9_000 + 300
    sizes = [subword_size(pairs, 50) for pairs in (300, 3_000, 30_000, 300_000)]
    assert sizes == sorted(set(sizes))


def test_tasks_on_words_are_judged_by_exact_matches():
    for words, metric in ((False, "bleu"), (True, "exact")):
        assert decide(load_config(None), dataclasses.replace(FACTS, words=words)).train.select_by == metric


GUIDE = re.findall(
    r"^\| `(\w+\.\w+)` \| (.+) \|$",
    (Path(__file__).parents[3] / "docs" / "guide" / "defaults.md").read_text(encoding="utf-8"),
    re.MULTILINE,
)


def test_the_guide_has_each_rule():
    assert [key for key, _ in GUIDE] == [rule.key for rule in RULES]


@pytest.mark.parametrize(("key", "text"), [row for row in GUIDE if re.search("pairs|single words", row[1])])
def test_values_are_those_of_the_guide_for_numbers_of_pairs_and_for_single_words(key, text):
    def value(pairs: int, words: bool = False) -> str:
        facts = dataclasses.replace(FACTS, pairs=pairs, words=words, subword_size=subword_size(pairs, 0))
        return str(by_key(decide(load_config(None), facts))[key])

    steps = re.findall(r"(`\w+`|[\d.,]*\d) below ([\d,]*\d)(?: pairs)?(?:, else (`\w+`|[\d.,]*\d))?", text)
    steps = [[number.replace(",", "").strip("`") for number in step] for step in steps]
    assert len(steps) == text.count(" below ")
    for k, (found, limit, beyond) in enumerate(steps):
        assert (value(int(limit) - 1), value(int(limit))) == (found, beyond or steps[k + 1][0])
    for found in re.findall(r"(\S+) for single words", text):
        assert {value(pairs, words=True) for pairs in (300, 10_000_000)} == {found.strip("`")}
