"""The kinds of models by name: encoder-decoder, repeated vector, one output for each input position."""

from collections.abc import Mapping
from types import MappingProxyType

from wordseq.config.schema import Config, ModelConfig
from wordseq.models.same_length import SameLength
from wordseq.models.seq2seq import NOTHING_KNOWN, Seq2Seq, SourceIds
from wordseq.system.errors import UserError
from wordseq.text.vocab import TextCodec, copied_ids

KINDS: Mapping[str, type[Seq2Seq]] = MappingProxyType(
    {"encoder_decoder": Seq2Seq, "repeat_vector": Seq2Seq, "same_length": SameLength}
)


def make_model(
    config: ModelConfig,
    src_size: int,
    tgt_size: int,
    *,
    source: SourceIds = NOTHING_KNOWN,
    output_map: str = "softmax",
    precision: str = "float32",
    seed: int = 1,
) -> Seq2Seq:
    """The model of `config.kind`; see `Seq2Seq`.

    Raises:
        ValueError: no such kind; the message lists the names.
    """
    if config.kind not in KINDS:
        raise ValueError(f"unknown kind {config.kind!r}; choose from {', '.join(sorted(KINDS))}")
    return KINDS[config.kind](
        config, src_size, tgt_size, source=source, output_map=output_map, precision=precision, seed=seed
    )


def model_for(config: Config, src: TextCodec, tgt: TextCodec, *, precision: str) -> Seq2Seq:
    """The model of a run's settings and vocabularies.

    Args:
        config: settings of the run.
        src: source tokenizer and vocabulary.
        tgt: target tokenizer and vocabulary.
        precision: number format of large matrix products.

    Raises:
        UserError: `model.features` = "separate", but sources have no features.
    """
    if config.model.features == "separate" and not src.features:
        raise UserError("model.features = 'separate', but the sources have no features; set model.features = 'joined'")
    return make_model(
        config.model,
        len(src.vocab),
        len(tgt.vocab),
        source=SourceIds(src.features, copied_ids(src, tgt) if config.model.copy else ()),
        output_map=config.train.loss,
        precision=precision,
        seed=config.train.seed,
    )
