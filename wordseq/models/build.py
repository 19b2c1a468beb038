"""The kinds of models by name: encoder-decoder, repeated vector, one output for each input position."""

from collections.abc import Mapping
from types import MappingProxyType

from wordseq.config.schema import Config, ModelConfig
from wordseq.models.layers import Copying
from wordseq.models.same_length import SameLength
from wordseq.models.seq2seq import NOTHING_KNOWN, Seq2Seq, SourceIds
from wordseq.system.errors import UserError
from wordseq.text.vocab import EOS_ID, SPECIALS, UNK_ID, TextCodec

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


def copied_ids(src: TextCodec, tgt: TextCodec) -> tuple[int, ...]:
    """For each source id the target id that is copied, see `Copying`: that of the same token.

    EOS gives EOS, and UNK gives UNK, which the text replaces by the word of the source. Features and padding give nothing. Nor
    does a known token that the target vocabulary lacks: the model would learn that any foreign word is a way to write <unk>.
    The characters of a spelled word are tokens like others; only targets that spell words too have them.
    """
    specials = {UNK_ID: UNK_ID, EOS_ID: EOS_ID}
    ids = [specials.get(index, Copying.NOTHING) for index in range(len(SPECIALS))]
    words = src.vocab.tokens[: len(src.vocab.tokens) - src.features]
    # A symbol of the target may look like a character: " h".
    letters = src.vocab.speller.size if src.vocab.speller and not tgt.vocab.speller else 0
    ids += [Copying.NOTHING] * letters
    ids += [tgt.vocab.ids.get(word, Copying.NOTHING) for word in words[letters:]]
    return (*ids, *[Copying.NOTHING] * src.features)
