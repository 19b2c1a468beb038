"""Settings that nobody gave, decided by rules on the data: docs/guide/defaults.md has what they were found on."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from wordseq.config.data import DataConfig
from wordseq.config.fields import is_auto
from wordseq.config.schema import AUTO_KEYS, Config, by_key, with_value


@dataclass(frozen=True)
class Facts:
    """What the rules depend on.

    Attributes:
        pairs: number of training pairs.
        levels: token levels of source and target.
        words: the targets are single words, or their symbols.
        subword_size: see `subword_size`; 0 where no side has subwords.
        vector_size: numbers of a pretrained word vector; 0 without any.
    """

    pairs: int
    levels: tuple[str, str]
    words: bool
    subword_size: int = 0
    vector_size: int = 0

    @property
    def spelled(self) -> bool:
        """Whether a target token is a character or a symbol of a word, so that its vocabulary is small."""
        return self.levels[1] in ("char", "symbols")


@dataclass(frozen=True)
class Rule:
    """How a setting follows from the data.

    Attributes:
        key: `section.name` of the setting.
        value: from the facts and the settings, in which all keys of earlier rules are decided.
        reason: why, in one sentence.
    """

    key: str
    value: Callable[[Facts, Config], Any]
    reason: str


def _by_pairs(pairs: int, steps: Sequence[tuple[int, Any]], beyond: Any) -> Any:
    """The value of the first step that has more pairs; `beyond` after the last one."""
    return next((value for limit, value in steps if pairs < limit), beyond)


SUBWORDS = ((2_000, 1_000), (10_000, 2_000), (60_000, 4_000))
"""Numbers of pairs, and the subwords of a vocabulary for corpora with fewer."""


def subword_size(pairs: int, characters: int) -> int:
    """`data.subword_size`, which is decided before there are tokens to count.

    Args:
        pairs: number of training pairs.
        characters: distinct ones of the side that has more. Each is a subword, and Chinese has thousands.
    """
    return int(_by_pairs(pairs, SUBWORDS, 8_000)) + characters


RULES: Sequence[Rule] = (
    Rule(
        "data.rare_words",
        lambda facts, config: "spell" if "word" in facts.levels else "unk",
        "a reader has no use for <unk>; spelling has 5.6 BLEU more on 20,000 pairs",
    ),
    Rule(
        "data.subword_size",
        lambda facts, config: facts.subword_size or DataConfig.subword_size,
        "a subword must occur often enough to be learnt; each character is one",
    ),
    Rule(
        "model.hidden_size",
        lambda facts, config: 256 if facts.words or facts.pairs < 5_000 else 512,
        "words are learnt as well by half of the units, in less time, but 20,000 sentences are not",
    ),
    Rule(
        "model.embed_dim",
        lambda facts, config: (
            facts.vector_size
            or (config.model.hidden_size if config.model.tie_embeddings else 64 if facts.spelled else 256)
        ),
        "characters and symbols are few, so they need no large vectors; pretrained and tied ones have a size",
    ),
    Rule(
        "model.embed_scale",
        lambda facts, config: 1.0 if facts.spelled else 0.1,
        "small initial vectors generalise better where many tokens are rare; characters are not",
    ),
    Rule(
        "model.dropout",
        lambda facts, config: _by_pairs(facts.pairs, ((10_000, 0.4), (60_000, 0.3)), 0.2),
        "the fewer pairs, the sooner a model learns them by heart",
    ),
    Rule(
        "train.batch_size",
        lambda facts, config: _by_pairs(facts.pairs, ((5_000, 32), (60_000, 64)), 128),
        "a small corpus has too few updates in large batches",
    ),
    Rule(
        "train.learning_rate",
        lambda facts, config: 3e-3 if config.model.hidden_size < 512 else 2e-3,
        "wide layers need smaller steps",
    ),
    Rule(
        "train.schedule",
        lambda facts, config: "plateau",
        "averaged weights need no early decay: 0.8 BLEU more than with inverse_sqrt after 12 epochs",
    ),
    Rule(
        "train.warmup_steps",
        lambda facts, config: 400 if config.train.schedule == "inverse_sqrt" else 0,
        "the steps of this schedule are largest after its warm-up",
    ),
    Rule(
        "train.average",
        lambda facts, config: 0.998 if facts.pairs < 5_000 else 0.999,
        "the average of the last hundreds of updates is steadier than the last weights",
    ),
    Rule(
        "train.label_smoothing",
        lambda facts, config: 0.1,
        "what small corpora are usually given (Sennrich and Zhang 2019)",
    ),
    Rule(
        "train.max_epochs",
        lambda facts, config: (
            1_000
            if config.train.max_minutes or config.train.max_steps
            else _by_pairs(facts.pairs, ((1_000, 100), (5_000, 60), (20_000, 40)), 20)
        ),
        "a small corpus needs as many updates; where minutes or updates are limited, epochs are not",
    ),
    Rule(
        "train.decay_patience",
        lambda facts, config: _by_pairs(facts.pairs, ((1_000, 5), (5_000, 3)), 1),
        "dev scores of few sentences are noisy, so steps must not shrink after each lower one",
    ),
    Rule(
        "train.patience",
        lambda facts, config: _by_pairs(facts.pairs, ((1_000, 15), (5_000, 10), (20_000, 6)), 4),
        "dev scores of few sentences are noisy",
    ),
    Rule(
        "train.select_by",
        lambda facts, config: "exact" if facts.words else _by_pairs(facts.pairs, ((1_000, "chrf"),), "bleu"),
        "BLEU of single words is 0 or nearly so, and so is BLEU of what a model of some hundred pairs writes",
    ),
)
"""In the order in which they are decided."""


def decide(config: Config, facts: Facts) -> Config:
    """The settings, with each that is "auto" decided by its rule.

    Args:
        config: settings from files and commands.
        facts: of the data.
    """
    asked = by_key(config)
    for rule in RULES:
        if is_auto(asked[rule.key]):
            config = with_value(config, rule.key, rule.value(facts, config))
    return config


def decided_values(before: Config, after: Config) -> str:
    """The settings that rules decided, as text; empty if there are none."""
    asked, found = by_key(before), by_key(after)
    unused = {"data.subword_size": not after.data.has_subwords, "data.rare_words": after.data.rare_words == "unk"}
    used = [key for key in AUTO_KEYS if not unused.get(key)]
    return ", ".join(f"{key} {found[key]}" for key in used if is_auto(asked[key]))
