"""All settings, as frozen dataclasses; those of [data] are in `config/data.py`."""

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, get_type_hints

from wordseq.config.data import DataConfig
from wordseq.config.fields import Changes, setting, usual_value

OTHER_NAMES: Mapping[str, str] = MappingProxyType({"data.path": "data.train"})
"""Further names of settings: `data.path` for the user of one file, which has no dev and test files beside it."""

MOST = 2**31 - 1
"""The largest whole number of a setting: TensorFlow's counters and shapes have 32 bits."""

# Far above useful sizes. A typing error gets a message instead of a memory error or minutes of building layers.
WIDEST, DEEPEST = 2**16, 64
"""The largest width of a layer and the largest number of layers."""

NUMBER_FORMATS = ("float32", "bfloat16", "auto")

# Not sacreBLEU's spm, flores101, flores200 and spBLEU-1K: they download a model when they are first used.
BLEU_TOKENIZERS = ("13a", "char", "intl", "none", "zh", "ja-mecab", "ko-mecab")
"""sacreBLEU's tokenizers for BLEU; the last two need a package, see `evaluation/metrics/tokenizing.py`."""

SELECT_BY = ("bleu", "chrf", "exact", "ser", "cer", "f1", "loss")

CELLS = ("gru", "lstm", "rnn", "ln_gru", "ln_lstm", "sru", "atr", "lrn", "min_gru", "min_lstm")

ELEMENTWISE_CELLS = ("sru", "lrn", "min_gru", "min_lstm")
"""Cells without a recurrent matrix product, so recurrent dropout has no effect in them."""

# Neither attention nor an input of target tokens.
_ONE_PASS: Mapping[str, Any] = MappingProxyType(
    {"attention": "none", "attention_map": "softmax", "peek": False, "input_feeding": False}
    | {"features": "joined", "copy": False, "context_dropout": 0.0, "pretrained_tgt": ""}
    | {"tie_embeddings": False, "share_embeddings": False}
)

KIND_SETTINGS: Mapping[str, Mapping[str, Any]] = MappingProxyType(
    {"repeat_vector": _ONE_PASS, "same_length": {**_ONE_PASS, "decoder_layers": 1, "bridge": "copy"}}
)
"""For each `model.kind` the settings of [model] that it has no use for, with the value that each must have."""


PROBABILITY_MAPS = ("softmax", "sparsemax", "entmax15")
"""Maps from scores to probabilities."""


@dataclass(frozen=True)
class ModelConfig:
    """The encoder-decoder."""

    kind: str = setting(
        "encoder_decoder",
        "architecture; encoder_decoder: the decoder reads its previous token; repeat_vector: it reads only the source vector, "
        "at every step; same_length: one recurrent stack, one output token for each input token",
        choices=("encoder_decoder", *KIND_SETTINGS),
    )
    cell: str = setting("gru", "recurrent cell of encoder and decoder", choices=CELLS)
    embed_dim: int = setting(256, "units of a token embedding", minimum=1, maximum=WIDEST, auto=True)
    embed_scale: float = setting(
        1.0,
        "standard deviation of an embedding's initial values: 1 learns fast, 0.1 generalises better on small data",
        minimum=0,
        auto=True,
    )
    hidden_size: int = setting(
        512,
        "units of a decoder layer; a bidirectional encoder layer has half of them in each direction",
        minimum=1,
        maximum=WIDEST,
        auto=True,
    )
    encoder_layers: int = setting(1, "recurrent layers of the encoder", minimum=1, maximum=DEEPEST)
    decoder_layers: int = setting(1, "recurrent layers of the decoder", minimum=1, maximum=DEEPEST)
    residual: bool = setting(
        False, "residual connections: from the second layer on, add a layer's input to its output (He et al. 2016)"
    )
    bidirectional: bool = setting(True, "the encoder reads the source in both directions")
    bridge: str = setting(
        "copy",
        "initial decoder state: a copy of the encoder's last state, a dense layer of it, or zero",
        choices=("copy", "dense", "zero"),
    )
    attention: str = setting(
        "general",
        "attention score: dot and general of Luong et al. 2015, additive of Bahdanau et al. 2015",
        choices=("none", "dot", "general", "additive"),
    )
    attention_map: str = setting(
        "softmax",
        "from attention scores to weights; sparsemax (Martins and Astudillo 2016) and entmax15 (Peters et al. 2019) give "
        "most source positions exactly 0",
        choices=PROBABILITY_MAPS,
    )
    # Below 1: dropout scales what it keeps by 1 / (1 - rate).
    dropout: float = setting(
        0.3,
        "dropout rate of embeddings, layer inputs and layer outputs, a share",
        minimum=0,
        maximum=0.95,
        auto=True,
    )
    embed_dropout: float = setting(
        -1.0, "dropout rate of source and target embeddings, a share; -1: model.dropout", minimum=-1, maximum=0.95
    )
    word_dropout: float = setting(
        0.0,
        "share of source tokens and of decoder inputs whose embedding is set to 0 in training (Gal and Ghahramani 2016; "
        "Sennrich and Zhang 2019)",
        minimum=0,
        maximum=0.95,
    )
    context_dropout: float = setting(
        0.0,
        "dropout rate of the encoder's outputs that attention reads, a share (Caglayan et al. 2017)",
        minimum=0,
        maximum=0.95,
    )
    output_dropout: float = setting(
        -1.0,
        "dropout rate of the vectors that the next tokens are predicted from, a share; -1: model.dropout",
        minimum=-1,
        maximum=0.95,
    )
    recurrent_dropout: float = setting(
        0.0,
        "dropout rate of the recurrent state, a share; the same units at every step (Gal and Ghahramani 2016)",
        minimum=0,
        maximum=0.95,
    )
    peek: bool = setting(False, "feed the encoder's last output to the decoder at every step (Cho et al. 2014)")
    input_feeding: bool = setting(
        False,
        "input feeding: join the last attentional vector to the next decoder input (Luong et al. 2015, section 3.3); slower",
    )
    features: str = setting(
        "joined",
        "how features of sources (e.g. inflection tags) are read; joined: after the word; separate: with their own attention",
        choices=("joined", "separate"),
    )
    copy: bool = setting(
        False,
        "pointer-generator: the next token is drawn from a learned mixture of the vocabulary and the source's tokens, by their "
        "attention weights (See et al. 2017)",
    )
    tie_embeddings: bool = setting(False, "use the target embedding as output weights too")
    share_embeddings: bool = setting(
        False,
        "one embedding matrix for source and target; needs data.share_vocab. With model.tie_embeddings the output weights are "
        "in it too (Press and Wolf 2017)",
    )
    pretrained_src: str = setting(
        "", "file of word vectors that initialise source embeddings: GloVe or word2vec text, plain, .gz or .zip"
    )
    pretrained_tgt: str = setting("", "file of word vectors that initialise target embeddings; formats as above")
    freeze_pretrained: bool = setting(
        False, "do not train the embeddings that come from word vectors; all others are trained"
    )

    def dropout_of(self, place: str) -> float:
        """The dropout rate of "embed" or "output": its own, or `dropout`."""
        rate = {"embed": self.embed_dropout, "output": self.output_dropout}[place]
        return self.dropout if rate < 0 else rate


@dataclass(frozen=True)
class TrainConfig:
    """The training loop."""

    seed: int = setting(1, "random seed of initialisation, batch order and dropout", minimum=0, changes=Changes.CHANCE)
    max_epochs: int = setting(
        20,
        "largest number of epochs (passes over the training pairs)",
        minimum=1,
        changes=Changes.LIMIT,
        auto=True,
    )
    max_steps: int = setting(0, "largest number of updates; 0: no limit", minimum=0, changes=Changes.LIMIT)
    max_minutes: float = setting(
        0.0, "longest training time, in minutes; 0: no limit", minimum=0, changes=Changes.LIMIT
    )
    batch_tokens: int = setting(0, "target tokens per batch, padding included; 0: use train.batch_size", minimum=0)
    batch_size: int = setting(128, "sentence pairs per batch, if train.batch_tokens is 0", minimum=1, auto=True)
    optimizer: str = setting("adam", "optimizer", choices=("adam", "adamw", "sgd", "rmsprop", "adadelta"))
    learning_rate: float = setting(1e-3, "highest learning rate of the schedule", minimum=0, auto=True)
    weight_decay: float = setting(0.0, "adamw: decoupled weight decay per update", minimum=0)
    schedule: str = setting(
        "plateau",
        "learning rate schedule",
        choices=("constant", "plateau", "inverse_sqrt", "exponential"),
        auto=True,
    )
    warmup_steps: int = setting(0, "updates of linear warm-up; inverse_sqrt decays after them", minimum=0, auto=True)
    decay: float = setting(
        0.5,
        "factor of one learning rate decay; exponential decays after each epoch, plateau after train.decay_patience",
        minimum=0,
        maximum=1,
    )
    decay_patience: int = setting(
        1, "plateau: validations without a better dev score before a decay", minimum=1, auto=True
    )
    clip_norm: float = setting(1.0, "gradient clipping: largest global norm; 0: no clipping", minimum=0)
    # Below 1: an average with a decay of 1 never moves.
    average: float = setting(
        0.0,
        "validate and keep as best a moving average of the weights: its decay per update, e.g. 0.999; 0: off",
        minimum=0,
        maximum=0.999999,
        auto=True,
    )
    loss: str = setting(
        "softmax",
        "loss, and the map from logits to probabilities of the next token, also in decoding; softmax: cross-entropy; sparsemax "
        "and entmax15: Fenchel-Young losses, most tokens get exactly 0 (Peters et al. 2019)",
        choices=PROBABILITY_MAPS,
    )
    label_smoothing: float = setting(
        0.0,
        "label smoothing: share of probability spread evenly over the vocabulary",
        minimum=0,
        maximum=0.9,
        auto=True,
    )
    subword_sampling: float = setting(
        0.0,
        "subword sampling: training pairs are cut into other subwords in each epoch; bpe: share of merges that are left out "
        "(Provilkov et al. 2020); unigram: exponent of their probabilities, the lower, the more evenly (Kudo 2018); 0: off",
        minimum=0,
        maximum=1,
    )
    precision: str = setting(
        "auto",
        "number format of large matrix products; auto: bfloat16 if the CPU has instructions for it",
        choices=NUMBER_FORMATS,
        changes=Changes.MACHINE,
    )
    shards: int = setting(
        0,
        "parts of a batch computed in parallel; 0: one for each processor, at most 4 in a process",
        minimum=0,
        changes=Changes.CHANCE | Changes.MACHINE,
    )
    teacher_forcing: float = setting(
        1.0,
        "scheduled sampling: share of gold tokens in the decoder's input; the others are its greedy predictions; 1: off",
        minimum=0,
        maximum=1,
    )
    teacher_forcing_schedule: str = setting(
        "constant",
        "scheduled sampling: how the share of gold tokens falls from 1 to train.teacher_forcing (Bengio et al. 2015); "
        "constant: it has that value from the start; after i updates, with k = train.teacher_forcing_decay, "
        "linear: 1 - i/k; exponential: exp(-i/k); inverse_sigmoid: k / (k + exp(i/k))",
        choices=("constant", "linear", "exponential", "inverse_sigmoid"),
    )
    teacher_forcing_decay: float = setting(1000.0, "scheduled sampling: k of the schedule, in updates", minimum=1)
    select_by: str = setting(
        "bleu",
        "dev score that decides the best checkpoint, early stopping and plateau; exact: share of right outputs; "
        "ser, cer: error rates of symbols, characters; f1: of subwords; loss: dev loss per token; ties: the lower dev loss",
        choices=SELECT_BY,
        auto=True,
    )
    validate_steps: int = setting(0, "updates between validations; 0: one validation after each epoch", minimum=0)
    patience: int = setting(
        4,
        "early stopping: validations without a better dev score before training stops; 0: never stop early",
        minimum=0,
        changes=Changes.LIMIT,
        auto=True,
    )
    save_minutes: float = setting(
        10.0,
        "minutes between checkpoints; each validation saves one too; 0: only those",
        minimum=0,
        changes=Changes.LIMIT,
    )
    log_steps: int = setting(100, "updates between training entries in metrics.jsonl", minimum=1)


@dataclass(frozen=True)
class DecodeConfig:
    """Search."""

    beam_size: int = setting(1, "beam size, in hypotheses; 1: greedy search", minimum=1)
    length_penalty: float = setting(1.0, "length penalty: alpha of Wu et al. 2016, equation 14; 0: none", minimum=0)
    max_len_ratio: float = setting(
        2.0,
        "an output has at most this number times its expected length, plus decode.max_len_extra tokens; "
        "expected are the source's tokens times the target tokens per source token in training",
        minimum=0,
        maximum=1000,
    )
    # At least 1, so that a ratio of 0 still leaves room for one token.
    max_len_extra: int = setting(
        20,
        "tokens that an output may have beyond decode.max_len_ratio times its expected length",
        minimum=1,
        maximum=100_000,
    )
    batch_size: int = setting(128, "sentences decoded in one batch", minimum=1)
    # float32, unlike train.precision: a translation must not depend on the machine by default.
    precision: str = setting(
        "float32",
        "number format of large matrix products; bfloat16 is faster but decides near ties differently; auto: by the CPU",
        choices=NUMBER_FORMATS,
    )
    ensemble: str = setting(
        "probabilities",
        "ensembles: the mean that the next token is chosen by, of the runs' probabilities or of their log-probabilities",
        choices=("probabilities", "log_probabilities"),
    )
    copy_unknown: bool = setting(
        True,
        "replace <unk> in an output by the source word with the highest attention weight; models with model.copy always do",
    )


@dataclass(frozen=True)
class EvalConfig:
    """Scores, of the dev split in training and of the test split."""

    tokenize: str = setting(
        "auto",
        "sacreBLEU's tokenizer for BLEU; auto: none for tokens and symbols, else by the script of the dev references",
        choices=("auto", *BLEU_TOKENIZERS),
        changes=Changes.MACHINE,
    )


@dataclass(frozen=True)
class Config:
    """All settings of a run, by section."""

    data: DataConfig = dataclasses.field(default_factory=DataConfig)
    model: ModelConfig = ModelConfig()
    train: TrainConfig = TrainConfig()
    decode: DecodeConfig = DecodeConfig()
    eval: EvalConfig = EvalConfig()


SECTIONS: Mapping[str, type] = dict(get_type_hints(Config).items())

FIELDS: Mapping[str, Mapping[str, dataclasses.Field[Any]]] = {
    section: {field.name: field for field in dataclasses.fields(kind)} for section, kind in SECTIONS.items()
}
"""The settings of each section, by their names."""


USUAL = (
    *("data.corpus", "data.train", "data.src_column", "data.tgt_column", "data.features_column", "data.swap"),
    *("data.level", "data.tgt_separator", "data.min_freq", "data.subword_size"),
    *("data.dev_size", "data.test_size"),
    *("model.cell", "model.embed_dim", "model.hidden_size", "model.encoder_layers", "model.decoder_layers"),
    *("model.attention", "model.dropout"),
    *("train.max_epochs", "train.max_minutes", "train.batch_size", "train.learning_rate", "train.patience"),
    "decode.beam_size",
)
"""The settings that people change; `--list-settings all` prints the others too."""


AUTO_KEYS = tuple(
    f"{section}.{name}"
    for section, fields in FIELDS.items()
    for name, field in fields.items()
    if field.metadata["auto"]
)
"""The settings that `config/auto.py` decides by the data where nobody gave them."""


def keys_that_change(changes: Changes) -> tuple[str, ...]:
    """The settings that may differ in this way, as `section.key`."""
    return tuple(
        f"{section}.{name}"
        for section, fields in FIELDS.items()
        for name, field in fields.items()
        if changes in field.metadata["changes"]
    )


def is_open(key: str, value: Any) -> bool:
    """Whether the value of a setting stands for one that is decided when a run begins."""
    section, _, name = key.partition(".")
    field = FIELDS[section][name]
    return Changes.MACHINE in field.metadata["changes"] and value == usual_value(field)


def by_key(config: Config) -> dict[str, Any]:
    """All values by `section.key`."""
    return {
        f"{section}.{name}": getattr(getattr(config, section), name)
        for section, fields in FIELDS.items()
        for name in fields
    }


def with_value(config: Config, key: str, value: Any) -> Config:
    """The settings with another value of `section.key`."""
    section, _, name = key.partition(".")
    return dataclasses.replace(config, **{section: dataclasses.replace(getattr(config, section), **{name: value})})


def without_chance(config: Config) -> Config:
    """The settings with `Changes.CHANCE` and `Changes.PLACE` settings at their defaults: equal for repetitions."""
    sections = {section: getattr(config, section) for section in SECTIONS}
    changing = keys_that_change(Changes.CHANCE) + keys_that_change(Changes.PLACE)
    for section, _, name in (key.partition(".") for key in changing):
        sections[section] = dataclasses.replace(sections[section], **{name: getattr(SECTIONS[section], name)})
    return Config(**sections)
