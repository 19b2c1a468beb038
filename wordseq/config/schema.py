"""Settings: frozen dataclasses; each setting knows its meaning, unit, and what is allowed."""

import dataclasses
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, get_type_hints

LEVELS = ("char", "word", "bpe", "unigram")

SOURCES = ("corpus", "path", "train_src")

MOST = 2**31 - 1
"""The largest whole number that a setting may have: TensorFlow counts with 32 bits."""

WIDEST, DEEPEST = 2**16, 64
"""Sizes beyond which a setting is a slip of the pen."""

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


def setting(
    default: Any,
    doc: str,
    *,
    choices: Sequence[str] = (),
    minimum: float | None = None,
    maximum: float | None = None,
) -> Any:
    """A field of a settings dataclass: its default, one line that says what it is and in what unit, what is allowed."""
    return dataclasses.field(
        default=default, metadata={"doc": doc, "choices": choices, "minimum": minimum, "maximum": maximum}
    )


@dataclass(frozen=True)
class DataConfig:
    """Where the sentence pairs come from, how they are split, cleaned and cut into tokens."""

    corpus: str = setting("", "name of a synthetic or public corpus (`wordseq data list`)")
    path: str = setting("", "one file of tab-separated pairs: .tsv, .txt, .gz, .zip or ARCHIVE.zip/MEMBER")
    train_src: str = setting("", "already split data: training sources, a sentence a line, plain or .gz")
    train_tgt: str = setting("", "training targets, line by line with train_src")
    dev_src: str = setting("", "dev sources")
    dev_tgt: str = setting("", "dev targets")
    test_src: str = setting("", "test sources")
    test_tgt: str = setting("", "test targets")
    swap: bool = setting(False, "exchange source and target")
    level: str = setting("word", "tokens of both sides", choices=LEVELS)
    src_level: str = setting("", "tokens of the source side; empty: data.level", choices=("", *LEVELS))
    tgt_level: str = setting("", "tokens of the target side; empty: data.level", choices=("", *LEVELS))
    min_freq: int = setting(2, "word level: words seen less often in training become <unk>", minimum=1)
    max_size: int = setting(0, "word level: at most so many words in a vocabulary; 0: no limit", minimum=0)
    subword_size: int = setting(8000, "bpe and unigram level: pieces in a vocabulary", minimum=300)
    pretokenized: bool = setting(False, "word level: the text is tokenized already, split at spaces only")
    lowercase: bool = setting(False, "lower-case both sides, references included")
    max_chars: int = setting(1000, "pairs with a longer side are dropped and counted, in characters", minimum=1)
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

    seed: int = setting(1, "seed of initialisation, order and dropout", minimum=0)
    max_epochs: int = setting(20, "stop after so many passes over the training pairs", minimum=1)
    max_steps: int = setting(0, "stop after so many updates; 0: no limit", minimum=0)
    max_minutes: float = setting(0.0, "stop after so many minutes of training; 0: no limit", minimum=0)
    batch_tokens: int = setting(0, "target tokens a batch, padding included; 0: train.batch_size counts", minimum=0)
    batch_size: int = setting(128, "sentence pairs a batch, when train.batch_tokens is 0", minimum=1)
    optimizer: str = setting("adam", "update rule", choices=("adam", "adamw", "sgd", "rmsprop", "adadelta"))
    learning_rate: float = setting(1e-3, "step size at its highest", minimum=0)
    weight_decay: float = setting(0.0, "adamw: decoupled decay a step", minimum=0)
    schedule: str = setting(
        "plateau", "how the step size falls", choices=("constant", "plateau", "inverse_sqrt", "exponential")
    )
    warmup_steps: int = setting(0, "updates of linear warm-up; inverse_sqrt decays from there on", minimum=0)
    decay: float = setting(0.5, "factor of one decay: plateau, and exponential every epoch", minimum=0, maximum=1)
    decay_patience: int = setting(1, "plateau: validations without a better dev BLEU before a decay", minimum=1)
    clip_norm: float = setting(1.0, "largest norm of the gradient; 0: no clipping", minimum=0)
    label_smoothing: float = setting(0.0, "share of probability spread over the vocabulary", minimum=0, maximum=0.9)
    precision: str = setting(
        "auto", "number format of the large products; auto: by the CPU", choices=("float32", "bfloat16", "auto")
    )
    shards: int = setting(0, "parts of a batch computed side by side; 0: by the number of processors", minimum=0)
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
    validate_steps: int = setting(0, "validate every so many updates; 0: after every epoch", minimum=0)
    patience: int = setting(4, "stop after so many validations without a better dev BLEU; 0: never", minimum=0)
    save_minutes: float = setting(
        10.0, "save every so many minutes of training, besides at every validation; 0: then only", minimum=0
    )
    log_steps: int = setting(100, "a line in metrics.jsonl every so many updates", minimum=1)
    tensorboard: bool = setting(False, "losses, dev BLEU, step size and sample translations go to RUN/tensorboard too")


@dataclass(frozen=True)
class DecodeConfig:
    """Search."""

    beam_size: int = setting(1, "hypotheses kept; 1 is greedy", minimum=1)
    length_penalty: float = setting(1.0, "alpha of Wu et al. 2016, equation 14; 0: none", minimum=0)
    max_len_ratio: float = setting(
        2.0,
        "longest output: so many times what training data lead to expect of the source's length",
        minimum=0,
        maximum=1000,
    )
    max_len_extra: int = setting(20, "and so many tokens more", minimum=1, maximum=100_000)
    batch_size: int = setting(128, "sentences decoded together", minimum=1)
    precision: str = setting(
        "float32",
        "number format of the large products: bfloat16 is faster, and may break near ties; auto: by the CPU",
        choices=("float32", "bfloat16", "auto"),
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
