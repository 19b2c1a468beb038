"""Settings: frozen dataclasses; each setting knows its meaning, its unit, what is allowed and when it may change."""

import dataclasses
import enum
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, get_type_hints

LEVELS = ("char", "word", "bpe", "unigram")

SOURCES = ("corpus", "path", "train_src")

MOST = 2**31 - 1
"""The largest whole number that a setting may have: TensorFlow counts with 32 bits."""

WIDEST, DEEPEST = 2**16, 64
"""The largest width and number of layers of a model."""

NUMBER_FORMATS = ("float32", "bfloat16", "auto")

CELLS = ("gru", "lstm", "rnn", "ln_gru", "ln_lstm", "sru", "atr", "lrn", "min_gru", "min_lstm")

ELEMENTWISE_CELLS = ("sru", "lrn", "min_gru", "min_lstm")
"""Cells without a recurrent product: nothing for recurrent dropout to act on."""

KIND_SETTINGS: Mapping[str, Mapping[str, Any]] = MappingProxyType(
    {
        "repeat_vector": {
            "attention": "none",
            "peek": False,
            "input_feeding": False,
            "tie_embeddings": False,
            "pretrained_tgt": "",
        },
        "same_length": {
            "attention": "none",
            "peek": False,
            "input_feeding": False,
            "tie_embeddings": False,
            "pretrained_tgt": "",
            "decoder_layers": 1,
            "bridge": "copy",
        },
    }
)
"""Settings of [model] that have no say in a `model.kind`, and what they are then."""

SPLIT_FILES = ("train_src", "train_tgt", "dev_src", "dev_tgt", "test_src", "test_tgt")


class Changes(enum.Flag):
    """Where a setting may differ from that of a run, and the run is still the one that is meant."""

    NEVER = 0
    LIMIT = enum.auto()
    """When a run resumes: it decides when to stop or save, not what is computed."""
    PLACE = enum.auto()
    """When a run resumes: it says where the data are. Their content is compared with that of the run."""
    CHANCE = enum.auto()
    """Between two samples of the same: it decides what is drawn at random, or how sums are rounded."""
    MACHINE = enum.auto()
    """Its default leaves it to the machine; the config.toml of a run has what the machine decided."""


def setting(
    default: Any,
    doc: str,
    *,
    choices: Sequence[str] = (),
    minimum: float | None = None,
    maximum: float | None = None,
    changes: Changes = Changes.NEVER,
    expert: bool = False,
) -> Any:
    """A field of a settings dataclass.

    Args:
        default: its value where none is given.
        doc: one line: what it is, and its unit.
        choices: the values allowed; empty: any.
        minimum: the smallest number allowed.
        maximum: the largest number allowed.
        changes: where it may differ from that of a run.
        expert: whether only the complete list of settings shows it.
    """
    allowed = {"choices": choices, "minimum": minimum, "maximum": maximum}
    return dataclasses.field(default=default, metadata={"doc": doc, **allowed, "changes": changes, "expert": expert})


@dataclass(frozen=True)
class DataConfig:
    """Where the sentence pairs come from, how they are split, cleaned and cut into tokens."""

    corpus: str = setting("", "name of a synthetic or public corpus (`wordseq data list`)")
    path: str = setting(
        "", "one file of tab-separated pairs: .tsv, .txt, .gz, .zip or ARCHIVE.zip/MEMBER", changes=Changes.PLACE
    )
    train_src: str = setting(
        "", "data split already: training sources, one sentence per line, plain or .gz", changes=Changes.PLACE
    )
    train_tgt: str = setting("", "training targets, line by line with train_src", changes=Changes.PLACE)
    dev_src: str = setting("", "dev sources", changes=Changes.PLACE)
    dev_tgt: str = setting("", "dev targets", changes=Changes.PLACE)
    test_src: str = setting("", "test sources", changes=Changes.PLACE)
    test_tgt: str = setting("", "test targets", changes=Changes.PLACE)
    swap: bool = setting(False, "exchange source and target")
    level: str = setting("word", "tokens of source and target", choices=LEVELS)
    src_level: str = setting("", "tokens of the source; empty: data.level", choices=("", *LEVELS))
    tgt_level: str = setting("", "tokens of the target; empty: data.level", choices=("", *LEVELS))
    min_freq: int = setting(2, "word level: words seen less often in training become <unk>", minimum=1)
    max_size: int = setting(0, "word level: most words in a vocabulary; 0: no limit", minimum=0)
    subword_size: int = setting(8000, "bpe and unigram level: subwords in a vocabulary", minimum=300)
    pretokenized: bool = setting(False, "word level: the text is tokenized already, split at spaces only")
    lowercase: bool = setting(False, "lower-case source, target and references")
    max_chars: int = setting(
        1000, "pairs whose source or target has more characters are dropped and counted", minimum=1
    )
    on_bad_line: str = setting(
        "stop", "bad lines, and empty sentences in given dev and test files", choices=("stop", "skip")
    )
    dev_size: float = setting(
        1000, "dev sources that differ by more than case and punctuation: a number, or a share below 1", minimum=0
    )
    test_size: float = setting(1000, "the same for the test split", minimum=0)
    max_pairs: int = setting(0, "training pairs used, drawn by data.seed; 0: all", minimum=0)
    seed: int = setting(1, "decides which sources are held out", minimum=0)

    def level_of(self, side: str) -> str:
        """The token level of `side`, "src" or "tgt"."""
        return {"src": self.src_level, "tgt": self.tgt_level}[side] or self.level


@dataclass(frozen=True)
class ModelConfig:
    """The encoder-decoder."""

    kind: str = setting(
        "encoder_decoder",
        "encoder_decoder; repeat_vector: the decoder sees the source's vector at every step and no token, the whole output in "
        "one pass; same_length: one stack, an output for each input",
        choices=("encoder_decoder", *KIND_SETTINGS),
    )
    cell: str = setting("gru", "recurrent cell of encoder and decoder", choices=CELLS)
    embed_dim: int = setting(256, "size of a token's vector", minimum=1, maximum=WIDEST)
    embed_scale: float = setting(
        1.0,
        "standard deviation of new vectors' entries: 1 learns fast, 0.1 generalises better on small data",
        minimum=0,
    )
    hidden_size: int = setting(
        512, "units of a decoder layer; a bidirectional encoder has half of it each way", minimum=1, maximum=WIDEST
    )
    encoder_layers: int = setting(1, "recurrent layers of the encoder", minimum=1, maximum=DEEPEST)
    decoder_layers: int = setting(1, "recurrent layers of the decoder", minimum=1, maximum=DEEPEST)
    residual: bool = setting(
        False, "from the second layer on, add a layer's input to its output (He et al. 2016, Wu et al. 2016)"
    )
    bidirectional: bool = setting(True, "read the source in both directions")
    bridge: str = setting("copy", "how the encoder's last state starts the decoder", choices=("copy", "dense", "zero"))
    attention: str = setting(
        "general",
        "alignment score of Luong et al. 2015 / Bahdanau et al. 2015",
        choices=("none", "dot", "general", "additive"),
    )
    dropout: float = setting(0.3, "share of embeddings, layer inputs and outputs set to 0", minimum=0, maximum=0.95)
    recurrent_dropout: float = setting(
        0.0,
        "share of the state set to 0, the same units at every step (Gal and Ghahramani 2016)",
        minimum=0,
        maximum=0.95,
    )
    peek: bool = setting(False, "the decoder sees the encoder's last output at every step (Cho et al. 2014)")
    input_feeding: bool = setting(
        False, "the last attended vector is joined to the next input (Luong et al. 2015, section 3.3); slower"
    )
    tie_embeddings: bool = setting(False, "one matrix for target embedding and output")
    pretrained_src: str = setting(
        "", "file of word vectors that source embeddings start from: GloVe or word2vec text, plain, .gz or .zip"
    )
    pretrained_tgt: str = setting("", "the same for target embeddings")
    freeze_pretrained: bool = setting(
        False, "keep the vectors that were found as they are; those of other tokens are trained"
    )


@dataclass(frozen=True)
class TrainConfig:
    """The training loop."""

    seed: int = setting(1, "seed of initialisation, order and dropout", minimum=0, changes=Changes.CHANCE)
    max_epochs: int = setting(20, "most epochs, passes over the training pairs", minimum=1, changes=Changes.LIMIT)
    max_steps: int = setting(0, "most updates; 0: no limit", minimum=0, changes=Changes.LIMIT)
    max_minutes: float = setting(0.0, "most minutes of training; 0: no limit", minimum=0, changes=Changes.LIMIT)
    batch_tokens: int = setting(0, "target tokens per batch, padding included; 0: train.batch_size counts", minimum=0)
    batch_size: int = setting(128, "sentence pairs per batch, when train.batch_tokens is 0", minimum=1)
    optimizer: str = setting("adam", "update rule", choices=("adam", "adamw", "sgd", "rmsprop", "adadelta"))
    learning_rate: float = setting(1e-3, "step size at its highest", minimum=0)
    weight_decay: float = setting(0.0, "adamw: decoupled decay per update", minimum=0)
    schedule: str = setting(
        "plateau", "how the step size falls", choices=("constant", "plateau", "inverse_sqrt", "exponential")
    )
    warmup_steps: int = setting(0, "updates of linear warm-up; inverse_sqrt decays from there on", minimum=0)
    decay: float = setting(0.5, "factor of one decay: plateau, and exponential every epoch", minimum=0, maximum=1)
    decay_patience: int = setting(1, "plateau: validations without a better dev BLEU before a decay", minimum=1)
    clip_norm: float = setting(1.0, "largest norm of the gradient; 0: no clipping", minimum=0)
    label_smoothing: float = setting(0.0, "share of probability spread over the vocabulary", minimum=0, maximum=0.9)
    precision: str = setting(
        "auto",
        "number format of the large products; auto: by the CPU",
        choices=NUMBER_FORMATS,
        changes=Changes.MACHINE,
    )
    shards: int = setting(
        0,
        "parts of a batch computed in parallel; 0: by the number of processors",
        minimum=0,
        changes=Changes.CHANCE | Changes.MACHINE,
        expert=True,
    )
    teacher_forcing: float = setting(
        1.0,
        "share of gold tokens fed to the decoder, drawn for each token; the others are its own greedy predictions",
        minimum=0,
        maximum=1,
    )
    teacher_forcing_schedule: str = setting(
        "constant",
        "how that share falls with i updates from 1 to train.teacher_forcing (Bengio et al. 2015); k is the decay: "
        "linear: 1 - i/k; exponential: exp(-i/k); inverse_sigmoid: k / (k + exp(i/k))",
        choices=("constant", "linear", "exponential", "inverse_sigmoid"),
    )
    teacher_forcing_decay: float = setting(1000.0, "k of that schedule, in updates", minimum=1)
    validate_steps: int = setting(0, "updates between validations; 0: one after each epoch", minimum=0)
    patience: int = setting(
        4, "stop after this number of validations without a better dev BLEU; 0: never", minimum=0, changes=Changes.LIMIT
    )
    save_minutes: float = setting(
        10.0,
        "minutes between checkpoints, besides that of each validation; 0: no others",
        minimum=0,
        changes=Changes.LIMIT,
        expert=True,
    )
    log_steps: int = setting(100, "updates between training lines in metrics.jsonl", minimum=1, expert=True)


@dataclass(frozen=True)
class DecodeConfig:
    """Search."""

    beam_size: int = setting(1, "hypotheses kept; 1 is greedy", minimum=1)
    length_penalty: float = setting(1.0, "alpha of Wu et al. 2016, equation 14; 0: none", minimum=0)
    max_len_ratio: float = setting(
        2.0,
        "longest output: this times the target length that the training data predict for the source",
        minimum=0,
        maximum=1000,
    )
    max_len_extra: int = setting(20, "tokens added to that limit", minimum=1, maximum=100_000)
    batch_size: int = setting(128, "sentences decoded together", minimum=1)
    precision: str = setting(
        "float32",
        "number format of the large products: bfloat16 is faster, and may break near ties; auto: by the CPU",
        choices=NUMBER_FORMATS,
    )
    copy_unknown: bool = setting(False, "replace <unk> by the source word with the highest attention")


@dataclass(frozen=True)
class Config:
    """All settings of a run, by section."""

    data: DataConfig = DataConfig()
    model: ModelConfig = ModelConfig()
    train: TrainConfig = TrainConfig()
    decode: DecodeConfig = DecodeConfig()


SECTIONS: Mapping[str, type] = dict(get_type_hints(Config).items())


def keys_that_change(changes: Changes) -> tuple[str, ...]:
    """The settings that may change in this way, as `section.key`."""
    return tuple(
        f"{section}.{field.name}"
        for section, kind in SECTIONS.items()
        for field in dataclasses.fields(kind)
        if changes in field.metadata["changes"]
    )


def by_key(config: Config) -> dict[str, Any]:
    """All values by `section.key`."""
    return {
        f"{section}.{key}": value
        for section, table in dataclasses.asdict(config).items()
        for key, value in table.items()
    }


def without_chance(config: Config) -> Config:
    """The settings with what chance decides and where the data are at their defaults: the same for two samples of the same."""
    sections = {section: getattr(config, section) for section in SECTIONS}
    changing = keys_that_change(Changes.CHANCE) + keys_that_change(Changes.PLACE)
    for section, _, name in (key.partition(".") for key in changing):
        sections[section] = dataclasses.replace(sections[section], **{name: getattr(SECTIONS[section], name)})
    return Config(**sections)
