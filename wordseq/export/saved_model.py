"""A run as a SavedModel: one folder that TensorFlow and TensorFlow Serving load without this package."""

import os
import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import tensorflow as tf

from wordseq.config.schema import Config
from wordseq.decoding.search import Found, beam_search, decode_one
from wordseq.export.tensor_text import TensorCodec, handles
from wordseq.models.rnn import without_gradient
from wordseq.models.seq2seq import Memory, Seq2Seq, States
from wordseq.runs.folder import RunFolder
from wordseq.runs.pack import pack_place
from wordseq.runs.weights import load_model
from wordseq.system.errors import UserError
from wordseq.system.files import naming, sync_folder, write_json
from wordseq.text.tokenizers import SentencePieceTokenizer, WordTokenizer
from wordseq.text.vocab import EOS_ID, PAD_ID, UNK_ID, TextCodec

_ENDING = "-saved-model"


class ServedIds(tf.Module):
    """What a SavedModel holds: the model with its search.

    Args:
        model: trained.
        config: settings of the run.
        tgt_per_src: see `RunFolder.tgt_per_src`.
    """

    def __init__(self, model: Seq2Seq, config: Config, tgt_per_src: float) -> None:
        super().__init__()
        self.config, self.tgt_per_src = config, tgt_per_src
        # The weights alone: a Keras model would be saved with functions of its own.
        self.weights = [weight.value for weight in model.weights]
        self._untracked = lambda: model

    @property
    def model(self) -> Seq2Seq:
        """The model."""
        return self._untracked()

    def search(self, src_ids_bs: tf.Tensor) -> tuple[Found, Memory, States]:
        """The best outputs of sources, with the run's settings of the search; see `decoding.translator.Translator`."""
        decode = self.config.decode
        memory, first = self.model.encode(src_ids_bs)
        lengths_b = tf.reduce_sum(tf.cast(src_ids_bs != PAD_ID, tf.int32), 1)
        # In float64 and cut off, as Python computes it.
        expected_b = tf.cast(lengths_b, tf.float64) * (decode.max_len_ratio * self.tgt_per_src)
        limits_b = tf.cast(expected_b, tf.int32) + decode.max_len_extra
        if self.config.model.kind == "same_length":
            limits_b = tf.minimum(limits_b, lengths_b)
        states = tf.nest.map_structure(lambda part: part[:, None], first)

        def step(last_ids_bk: tf.Tensor, state: States, memory: Memory) -> tuple[tf.Tensor, States]:
            return self.model.decoder_step(last_ids_bk, memory, state)

        if decode.beam_size == 1:
            return decode_one(step, states, limits_b, memory=memory), memory, first
        return beam_search(step, states, limits_b, decode.beam_size, decode.length_penalty, memory), memory, first

    @tf.function(autograph=False, input_signature=[tf.TensorSpec([None, None], tf.int32, name="src_ids")])
    def ids(self, src_ids_bs: tf.Tensor) -> dict[str, tf.Tensor]:
        """The best output of each source, with EOS and then PAD, and its log-probability.

        Args:
            src_ids_bs: each row with EOS at its end, then PAD.
        """
        batch = tf.shape(src_ids_bs)[0]
        found, _, _ = self.search(_not_empty(src_ids_bs, [[EOS_ID]]))
        return {"tgt_ids": found.ids_bkt[:batch, 0], "log_probs": found.log_probs_bk[:batch, 0]}


class ServedText(ServedIds):
    """`ServedIds` with its text.

    Args:
        model: trained.
        src: source tokenizer and vocabulary, which `tensor_text.handles`.
        tgt: target tokenizer and vocabulary, likewise.
        config: settings of the run.
        tgt_per_src: see `RunFolder.tgt_per_src`.
    """

    def __init__(self, model: Seq2Seq, src: TextCodec, tgt: TextCodec, config: Config, tgt_per_src: float) -> None:
        super().__init__(model, config, tgt_per_src)
        self.src, self.tgt = (TensorCodec(codec, config.data.lowercase) for codec in (src, tgt))
        # A word of the source in place of <unk>: where its token is one of the target too.
        same = src.tokenizer == tgt.tokenizer and isinstance(src.tokenizer, WordTokenizer) and not src.vocab.speller
        wanted = config.decode.copy_unknown or config.model.copy
        self.replaces_unknown = same and wanted and model.attention is not None

    @tf.function(autograph=False, input_signature=[tf.TensorSpec([None], tf.string, name="texts")])
    def translate(self, texts_b: tf.Tensor) -> dict[str, tf.Tensor]:
        """The translation of each text."""
        batch = tf.shape(texts_b)[0]
        prepared_b = self.src.prepare(_not_empty(texts_b, [""]))
        tokens = self.src.tokens(prepared_b)
        src_ids_bs = self.src.to_ids(tokens)
        found, memory, states = self.search(src_ids_bs)
        ids_bt = found.ids_bkt[:, 0]
        if not self.replaces_unknown:
            lines_b = self.tgt.to_text(ids_bt)
        else:
            parts_bt = tf.gather(self.tgt.parts, ids_bt)
            is_unknown_bt = ids_bt == UNK_ID

            def replaced() -> tf.Tensor:
                words_bt = self._words(tokens, src_ids_bs, ids_bt, memory, states)
                return tf.where(is_unknown_bt, self.tgt.part_of(words_bt), parts_bt)

            lines_b = self.tgt.join(tf.cond(tf.reduce_any(is_unknown_bt), replaced, lambda: parts_bt))
        return {"translations": tf.where(tokens.row_lengths() == 0, "", lines_b)[:batch]}

    def _words(
        self, tokens: tf.RaggedTensor, src_ids_bs: tf.Tensor, ids_bt: tf.Tensor, memory: Memory, states: States
    ) -> tf.Tensor:
        """For each output token the word of the source with the highest attention; see `Translator._copy`."""
        begin_b1 = tf.fill([tf.shape(ids_bt)[0], 1], 2)
        weights_bts = self.model.decode(tf.concat([begin_b1, ids_bt[:, :-1]], 1), memory, states).weights_bts
        allowed_bs = (src_ids_bs != PAD_ID) & (src_ids_bs != EOS_ID)
        if self.config.model.copy:
            unknown_bs = src_ids_bs == UNK_ID
            allowed_bs &= unknown_bs | ~tf.reduce_any(unknown_bs, 1, keepdims=True)
        places_bt = tf.argmax(tf.where(allowed_bs[:, None], weights_bts, -1.0), -1)
        # With the end of the source: texts that are all empty have no other token.
        tokens_bs = tf.concat([tokens.to_tensor("", shape=[None, None]), tf.fill([tf.shape(ids_bt)[0], 1], "")], 1)
        return tf.gather(tokens_bs, places_bt, batch_dims=1)


def _not_empty(batch: tf.Tensor, other: list[Any]) -> tf.Tensor:
    """The batch, or `other` if it has no rows: the search needs one."""
    return tf.cond(tf.shape(batch)[0] == 0, lambda: tf.constant(other, batch.dtype), lambda: batch)


def export_saved_model(run: RunFolder, output: Path | None = None, say: Callable[[str], None] = print) -> Path:
    """Write a run as a SavedModel into a new folder; arguments and errors as `onnx_folder.export_onnx`."""
    if run.members:
        raise UserError(f"{run.folder}: an ensemble has several models; export one of its runs")
    place = pack_place(run, output, _ENDING)
    src, tgt = run.codecs
    model, _ = load_model(run)
    served = ServedIds(model, run.config, run.tgt_per_src)
    signatures: dict[str, Any] = {}
    if handles(src) and handles(tgt):
        served = ServedText(model, src, tgt, run.config, run.tgt_per_src)
        signatures["serving_default"] = served.translate
    signatures = {"serving_default": served.ids, "ids": served.ids} | signatures
    with naming(place), tempfile.TemporaryDirectory(prefix=f".{place.name}.", dir=place.absolute().parent) as temporary:
        made = Path(temporary) / place.name
        with without_gradient():
            tf.saved_model.save(served, str(made), signatures)
        _write_vocabularies(made, {"src": src, "tgt": tgt})
        os.rename(made, place)
    sync_folder(place.absolute().parent)
    what = "texts to translations" if isinstance(served, ServedText) else "token ids to token ids"
    say(f"{place}: serving_default: {what}")
    return place


def _write_vocabularies(folder: Path, codecs: Mapping[str, TextCodec]) -> None:
    """Vocabularies and SentencePiece models, for programs that work with ids."""
    extra = folder / "assets.extra"
    extra.mkdir()
    for side, codec in codecs.items():
        codec.vocab.save(extra, side)
        if isinstance(codec.tokenizer, SentencePieceTokenizer):
            (extra / f"{side}.spm.model").write_bytes(codec.tokenizer.model)
    forms = {side: {"form": codec.form, "written": codec.written} for side, codec in codecs.items()}
    write_json(extra / "text.json", forms)
