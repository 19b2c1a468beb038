"""Translates texts with a trained run."""

import dataclasses
import re
import threading
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any, cast

import numpy as np
import numpy.typing as npt
import tensorflow as tf

from wordseq.batches.batching import pad
from wordseq.batches.id_store import IdStore
from wordseq.config.arguments import real_number, text_list, whole_number
from wordseq.config.load import check_section
from wordseq.config.schema import MOST, Config, DecodeConfig
from wordseq.decoding import LoadedFrom, load_again
from wordseq.decoding.ensemble import Ensemble
from wordseq.decoding.forced import Scorer
from wordseq.decoding.search import Found, beam_search, decode_one, make_sampler
from wordseq.decoding.threads import side_by_side
from wordseq.models.matmul import cast_once, resolve_precision
from wordseq.models.seq2seq import Memory, Seq2Seq, States
from wordseq.runs.combine import open_run
from wordseq.runs.folder import BEST, RunFolder, SrcLengths
from wordseq.runs.weights import load_model
from wordseq.system.errors import UserError
from wordseq.system.platform import parts
from wordseq.text.features import features_fault, prepare_source, with_features, word_of
from wordseq.text.normalise import in_form
from wordseq.text.tokenizers import WordTokenizer
from wordseq.text.vocab import EOS_ID, PAD_ID, UNK_ID, TextCodec

SMALLEST_BATCH = 16
"""Sentences are not divided among processors into batches smaller than this."""

MAX_SRC_TOKENS = 50_000
"""Longest source. A longer text would take hours or all the memory."""

MAX_POSITIONS = 2**17
"""Most source positions of a batch, with padding. It makes batches of long sentences smaller than `decode.batch_size`."""

_IDS = tf.TensorSpec([None, None], tf.int32)

_SURROGATES = re.compile("[\ud800-\udfff]")


@dataclasses.dataclass(frozen=True)
class Hypothesis:
    """One translation of a text."""

    text: str
    score: float
    """Log-probability in nats; after beam search, divided by the length penalty."""
    tokens: int
    """Number of output tokens, without EOS; each character of a spelled word is one."""
    unknown: int
    """Number of <unk> among them."""


@dataclasses.dataclass(frozen=True)
class Sampling:
    """Settings of sampling; see `search.make_sampler`.

    Raises:
        TypeError: a value is not a number, or `top_k` or `seed` is not an integer.
        ValueError: a value is out of bounds.
    """

    temperature: float = 1.0
    """0.001 to 1,000; below 1 sharpens the distribution, above 1 flattens it."""
    top_k: int = 0
    """Sample from this number of most probable tokens; 0: from all."""
    top_p: float = 1.0
    """Sample from the most probable tokens that together have this probability, above 0 to 1."""
    seed: int = 1
    """0 to 2,147,483,647."""

    def __post_init__(self) -> None:
        checked = {
            "temperature": real_number("temperature", self.temperature, 1e-3, 1e3),
            "top_k": whole_number("top_k", self.top_k, 0, MOST),
            "top_p": real_number("top_p", self.top_p, 1e-6, 1.0),
            "seed": whole_number("seed", self.seed, 0, MOST),
        }
        for name, value in checked.items():
            object.__setattr__(self, name, value)  # The class is frozen.


class Translator:
    """Translates texts with a model; `translator(["a text", ...])` returns a list of translations. Threads may share one.

    Args:
        model: trained; or an ensemble of such models.
        src: source tokenizer and vocabulary.
        tgt: target tokenizer and vocabulary.
        config: settings of the run.
        tgt_per_src: target tokens per source token in the training data, ends of sentence included.
        src_lengths: lengths of the training sources, if they are known.

    Attributes:
        origin: the checkpoints that `load` read; None for a translator that was made otherwise.
    """

    def __init__(
        self,
        model: Seq2Seq | Ensemble,
        src: TextCodec,
        tgt: TextCodec,
        config: Config,
        tgt_per_src: float,
        src_lengths: SrcLengths | None = None,
    ) -> None:
        self.model: Any = model  # Not their union: memories and outputs of the two differ, and are only handed on.
        self.src, self.tgt, self.config = src, tgt, config
        self.tgt_per_src, self.src_lengths = tgt_per_src, src_lengths
        self.scorer = Scorer(model)
        self._searches: dict[Any, Any] = {}
        self.origin: LoadedFrom | None = None
        self._compiling = threading.Lock()

    @classmethod
    def load(
        cls,
        run: str | Path | RunFolder | Sequence[str | Path],
        checkpoint: str = BEST,
        precision: str = "",
        mean: str = "",
    ) -> "Translator":
        """The translator of a run, or of several as an ensemble.

        Args:
            run: the folder of a run or of an ensemble; or several folders of runs.
            checkpoint: "best" or "last"; of an ensemble "best".
            precision: number format of the products, see `matmul`; empty: the run's `decode.precision`.
            mean: of the runs of an ensemble; empty: its `decode.ensemble`.

        Raises:
            UserError: not a run, or a file of it is missing or damaged; or the runs of an ensemble do not fit together.
        """
        if isinstance(run, str | Path):
            run = [run]
        opened = run if isinstance(run, RunFolder) else open_run(*map(Path, run))
        precision = resolve_precision(precision or opened.config.decode.precision)
        sha256, members = opened.header(checkpoint).sha256, opened.members or (opened,)
        models = [
            model for model, _ in side_by_side(lambda k: load_model(members[k], checkpoint, precision), len(members))
        ]
        config = opened.config
        if mean:
            config = dataclasses.replace(config, decode=dataclasses.replace(config.decode, ensemble=mean))
        model = Ensemble(models, config.decode.ensemble) if opened.members else models[0]
        translator = cls(model, *opened.codecs, config, opened.tgt_per_src, opened.src_lengths)
        folders = [opened.folder] if opened.folder.exists() else [member.folder for member in members]
        translator.origin = LoadedFrom([str(folder.resolve()) for folder in folders], checkpoint, precision, sha256)
        return translator

    def __reduce__(self) -> tuple[Any, ...]:
        """Pickle where the translator was loaded from: another process loads it again.

        Raises:
            TypeError: it was not loaded from a run folder.
        """
        if self.origin is None:
            raise TypeError("a Translator that was not loaded from a run folder cannot be pickled; see Translator.load")
        return load_again, (*self.origin, self.config)

    def __call__(self, texts: Iterable[str | tuple[str, str]]) -> list[str]:
        """The best translation of each text, with the run's decode settings; errors as `translate`."""
        return [found[0].text for found in self.translate(texts)]

    def translate(
        self,
        texts: Iterable[str | tuple[str, str]],
        decode: DecodeConfig | None = None,
        *,
        nbest: int = 1,
        sampling: Sampling | None = None,
    ) -> list[list[Hypothesis]]:
        """Hypotheses of each text, best first, in the order of the texts. An empty text has one empty hypothesis.

        Args:
            texts: one sentence each, not tokenized; a list, a generator, an open file, a pandas Series or a NumPy array.
                Where sources have features: pairs of (word, features), or WORD, TAB, FEATURES.
            decode: replaces the decode settings of the run.
            nbest: most hypotheses of each text; at most `decode.beam_size`.
            sampling: sample instead of a search; the beam size has no effect.

        Raises:
            TypeError: `texts` is a single text, or has an element that is not a text; or another argument has a wrong type.
            ValueError: nbest is below 1 or larger than the beam.
            UserError: a text has more than `MAX_SRC_TOKENS` tokens, or a surrogate; or a setting is out of bounds.
        """
        decode = _checked_decode(decode, self.config.decode)
        if not isinstance(sampling, Sampling | None):
            raise TypeError(f"sampling must be a Sampling or None, got {type(sampling).__name__}")
        nbest = whole_number("nbest", nbest, 1)
        if nbest > (1 if sampling else decode.beam_size):
            raise ValueError(f"nbest = {nbest} needs a beam at least as large, got {decode.beam_size}")
        prepared = self._prepared(texts)
        sources = [self.src.to_ids(text) for text in prepared]
        found: list[list[Hypothesis]] = [[Hypothesis("", 0.0, 0, 0)] for _ in prepared]
        # Sorted by length: batches then have little padding. Empty texts are not searched, whatever their features.
        filled = (i for i, ids in enumerate(sources) if ids and word_of(prepared[i]))
        order = sorted(filled, key=lambda i: len(sources[i]))
        batches = _batches(order, [len(ids) for ids in sources], decode.batch_size)

        def search(number: int) -> Found:
            return self._search([sources[i] for i in batches[number]], decode, sampling, number)

        for rows, hypotheses in zip(batches, side_by_side(search, len(batches)), strict=True):
            batch = [sources[i] for i in rows]
            # Features are not copied; they stand after the words.
            words = [word_of(prepared[i]) for i in rows] if self.replaces_unknown(decode) else None
            for row, best in zip(rows, self._texts(batch, hypotheses, nbest, words), strict=True):
                found[row] = best
        return found

    def replaces_unknown(self, decode: DecodeConfig) -> bool:
        """Whether each <unk> of an output is replaced by a word of the source: with attention, unless it is to be kept.

        A model that copies always replaces it: its <unk> stands for an unknown word of the source.
        """
        return self.model.attention is not None and (decode.copy_unknown or self.model.copying is not None)

    def embed(self, texts: Iterable[str | tuple[str, str]]) -> npt.NDArray[np.float32]:
        """The vector of each text, `[n, hidden]`, in the order of the texts. Compare vectors by their cosine.

        A vector is the mean of the encoder's outputs over the tokens of the text and EOS. So an empty text has a vector too.
        Equal texts have equal vectors. Other texts of the same call change a vector only by rounding.

        The mean finds near-duplicates better than the last state: with attention, the last state carries little. Figures are in
        docs/systems.md.

        Raises:
            TypeError: `texts` is a single text, or has an element that is not a text.
            UserError: a text has more than `MAX_SRC_TOKENS` tokens, or a surrogate; or the model is an ensemble.
        """
        if isinstance(self.model, Ensemble):
            raise UserError("an ensemble has no vectors of texts, as each of its runs has its own; embed with one run")
        prepared = self._prepared(texts)
        # Each distinct text once: in different batches, equal texts would differ by rounding.
        rows = {text: row for row, text in enumerate(dict.fromkeys(prepared))}
        sources = [self.src.to_ids(text) for text in rows]
        lengths = [len(ids) for ids in sources]
        order = sorted(range(len(sources)), key=lengths.__getitem__)
        batches = _batches(order, lengths, self.config.decode.batch_size)
        vectors_nh = np.zeros((len(sources), self.model.config.hidden_size), np.float32)

        def embed(number: int) -> npt.NDArray[np.float32]:
            return self._embed(pad([sources[i] for i in batches[number]])).numpy()

        for batch, vectors_bh in zip(batches, side_by_side(embed, len(batches)), strict=True):
            vectors_nh[batch] = vectors_bh
        return vectors_nh[[rows[text] for text in prepared]]

    @property
    def encoder(self) -> Callable[..., tuple[Memory, States]]:
        """The encoder alone, as in `memory, states = translator.encoder(src_ids_bs)`; see `Seq2Seq.encode`."""
        return self.model.encode

    @property
    def decoder_step(self) -> Callable[..., tuple[tf.Tensor, States]]:
        """One step of the decoder, as in `log_probs_bkv, states = translator.decoder_step(last_ids_bk, memory, states)`.

        Every tensor of the states is `[b, k, h]`, for k hypotheses per sentence; see `Seq2Seq.decoder_step`.
        """
        return self.model.decoder_step

    def _prepared(self, texts: Iterable[str | tuple[str, str]]) -> list[str]:
        """The texts, normalised like training text.

        Raises:
            TypeError: `texts` is a single text, or has an element that is not a text.
            UserError: a text cannot be translated.
        """
        texts = self._listed(texts)
        fault = self.unusable(texts)
        if fault:
            raise UserError(f"text {fault[0] + 1}: {fault[1]}")
        return list(map(self.prepare, texts))

    def _listed(self, texts: Iterable[str | tuple[str, str]]) -> list[str]:
        """The texts as a list; where sources have features, pairs of (word, features) as one text each.

        Raises:
            TypeError: see `text_list`.
        """
        joined = with_features(texts) if self.src.feature_separator else texts
        return text_list("texts", cast(Iterable[str], joined))

    def prepare(self, text: str) -> str:
        """A text normalised like training text, and in lower case if the run has `data.lowercase`."""
        return prepare_source(text, self.config.data.lowercase, self.src.feature_separator)

    @tf.function(autograph=False, input_signature=[_IDS])
    def _embed(self, src_ids_bs: tf.Tensor) -> tf.Tensor:
        """The mean `[b, h]` of the encoder's outputs at real positions."""
        memory, _ = self.model.encode(src_ids_bs)
        real_bs1 = memory.mask_bs[:, :, None]
        total_bh = tf.reduce_sum(tf.where(real_bs1, memory.memory_bsh, 0.0), 1)
        return total_bh / tf.reduce_sum(tf.cast(real_bs1, tf.float32), 1)

    def unusable(self, texts: Sequence[str]) -> tuple[int, str] | None:
        """Index of the first text that `translate` refuses, and the reason; None if it accepts all."""
        for place, text in enumerate(texts):
            surrogate = None if text.isascii() else _SURROGATES.search(text)
            if surrogate:
                return place, f"U+{ord(surrogate[0]):04X} at character {surrogate.start() + 1} is half a character"
            if self.src.feature_separator and (missing := features_fault(text)):
                return place, missing
            # Tokenizing is slow: only long texts are counted. A character has at most four bytes, in a spelled word with two
            # joiners.
            if 6 * len(text) > MAX_SRC_TOKENS:
                tokens = self.tokens_of(text)
                if tokens > MAX_SRC_TOKENS:
                    return place, f"{tokens:,} tokens, more than the {MAX_SRC_TOKENS:,} that are translated at once"
        return None

    def tokens_of(self, text: str) -> int:
        """Number of source tokens of a text."""
        return len(self.src.to_ids(self.prepare(text)))

    def unknown(self, texts: Iterable[str | tuple[str, str]]) -> list[str]:
        """The distinct tokens of the texts that are not in the source vocabulary, in order; features begin with a TAB.

        Raises:
            TypeError: `texts` is a single text, or has an element that is not a text.
        """
        tokens = map(self.src.tokenize, map(self.prepare, self._listed(texts)))
        return list(dict.fromkeys(token for sentence in tokens for token in self.src.vocab.unknown(sentence)))

    def replaced(self, texts: Iterable[str | tuple[str, str]]) -> list[tuple[str, str]]:
        """The words of the texts that the model reads as others, each with what it is read as; see `text.twins`.

        Raises:
            TypeError: `texts` is a single text, or has an element that is not a text.
        """
        return self.src.replaced(map(self.prepare, self._listed(texts)))

    @property
    def spells(self) -> bool:
        """Whether words that the source vocabulary lacks are spelled in characters."""
        return self.src.vocab.speller is not None

    def unseen(self, texts: Iterable[str | tuple[str, str]]) -> Counter[str]:
        """The characters of the texts that the model reads as bytes, with their numbers; see `TextCodec.unseen`.

        Raises:
            TypeError: `texts` is a single text, or has an element that is not a text.
        """
        return self.src.unseen(map(self.prepare, self._listed(texts)))

    def limit(self, src_tokens: int, decode: DecodeConfig) -> int:
        """The most output tokens for a source of `src_tokens` tokens, both with EOS."""
        limit = int(decode.max_len_ratio * self.tgt_per_src * src_tokens) + decode.max_len_extra
        return min(limit, src_tokens) if self.config.model.kind == "same_length" else limit

    def _search(self, batch: list[list[int]], decode: DecodeConfig, sampling: Sampling | None, number: int) -> Found:
        ids_bs = pad(batch)
        limits_b = np.array([self.limit(len(ids) + 1, decode) for ids in batch], np.int32)
        sampled = sampling or Sampling()
        # Nothing but what changes the graph: another seed, temperature or length penalty compiles nothing.
        key = decode.ensemble, decode.beam_size if sampling is None else (sampled.top_k > 0, sampled.top_p < 1)
        # Several threads may ask for the same search first.
        with self._compiling:
            if key not in self._searches:
                self._searches[key] = self._compile(decode, sampling)
        # With the number of the batch: otherwise all batches would draw the same noise.
        whole = np.array([sampled.seed, number, sampled.top_k], np.int32)
        real = np.array([decode.length_penalty, sampled.temperature, sampled.top_p], np.float32)
        found = self._searches[key](*map(tf.constant, (ids_bs, limits_b, whole, real)))
        return Found(*(part.numpy() for part in found))

    def _compile(self, decode: DecodeConfig, sampling: Sampling | None) -> Any:
        """The compiled search: a function of source ids, limits, [seed, batch, top_k] and [alpha, temperature, top_p]."""
        beam_size, model = decode.beam_size, self.model
        if isinstance(model, Ensemble):
            model = Ensemble(model.models, decode.ensemble)

        def step(last_ids_bk: tf.Tensor, state: States, memory: Memory) -> tuple[tf.Tensor, States]:
            return model.decoder_step(last_ids_bk, memory, state)

        numbers = (tf.TensorSpec([None], tf.int32), tf.TensorSpec([3], tf.int32), tf.TensorSpec([3]))

        @tf.function(autograph=False, input_signature=[_IDS, *numbers])
        def search(src_ids_bs: tf.Tensor, limits_b: tf.Tensor, whole: tf.Tensor, real: tf.Tensor) -> Found:
            with cast_once(model.weights, model.precision, divided=True):
                memory, states = model.encode(src_ids_bs)
                states = tf.nest.map_structure(lambda part: part[:, None], states)
                if sampling is not None:
                    top_k, top_p = whole[2] if sampling.top_k else 0, real[2] if sampling.top_p < 1 else 1.0
                    choose = make_sampler(whole[:2], real[1], top_k, top_p)
                    return decode_one(step, states, limits_b, choose, memory)
                if beam_size == 1:
                    return decode_one(step, states, limits_b, memory=memory)
                return beam_search(step, states, limits_b, beam_size, real[0], memory)

        return search

    def _texts(
        self, batch: list[list[int]], found: Found, nbest: int, sources: list[str] | None
    ) -> list[list[Hypothesis]]:
        """The hypotheses of a batch as texts. With `sources`, the texts of the batch, each <unk> is replaced."""
        kept = [
            (row, k, [int(i) for i in found.ids_bkt[row, k] if i not in (PAD_ID, EOS_ID)])
            for row in range(len(batch))
            for k in range(min(nbest, found.ids_bkt.shape[1]))
            # The beam may have found fewer than k hypotheses; the best one is always given.
            if k == 0 or np.isfinite(found.scores_bk[row, k])
        ]
        texts = [self.tgt.to_text(ids) for _, _, ids in kept]
        if sources is not None:
            odd = [n for n, (_, _, ids) in enumerate(kept) if UNK_ID in ids]
            copied = self._copy([(batch[kept[n][0]], sources[kept[n][0]], kept[n][2]) for n in odd])
            for n, text in zip(odd, copied, strict=True):
                texts[n] = text
        best: list[list[Hypothesis]] = [[] for _ in batch]
        for (row, k, ids), text in zip(kept, texts, strict=True):
            best[row].append(Hypothesis(text, float(found.scores_bk[row, k]), len(ids), ids.count(UNK_ID)))
        return best

    def _copy(self, odd: list[tuple[list[int], str, list[int]]]) -> list[str]:
        """Texts in which each <unk> is the source word with the highest attention (Jean et al. 2015, section 3.3).

        A model that copies gets it from unknown tokens of the source: it is one of these, if there are any.
        """
        if not odd:
            return []
        weights = self.scorer.alignments(IdStore.of([src for src, _, _ in odd]), IdStore.of([tgt for _, _, tgt in odd]))
        texts = []
        for (src, source, ids), aligned_ts in zip(odd, weights, strict=True):
            names = list(map(self._as_target, self.src.whole_words(source)))
            unknown_s = [self.model.copying is not None and i == UNK_ID for i in src[: len(names)]]
            weights_ts = aligned_ts[:, : len(names)]  # The last columns belong to features and EOS.
            if any(unknown_s):
                weights_ts = np.where(unknown_s, weights_ts, -1.0)
            tokens = [
                names[int(row.argmax())] if i == UNK_ID else self.tgt.vocab.to_tokens([i])
                for i, row in zip(ids, weights_ts, strict=False)  # The last row belongs to EOS.
            ]
            texts.append(self.tgt.detokenize([token for some in tokens for token in some]))
        return texts

    def _as_target(self, word: str) -> list[str]:
        """The target tokens of a word of `TextCodec.whole_words`."""
        src, tgt = self.src, self.tgt
        own = src.tokenizer if isinstance(src.tokenizer, WordTokenizer) else WordTokenizer()
        if own == tgt.tokenizer and src.form == tgt.form:
            return [word]
        return tgt.tokenizer.tokenize(in_form(own.detokenize([word]), tgt.form))


def _batches(order: Sequence[int], lengths: Sequence[int], largest: int) -> list[list[int]]:
    """Batches of texts, which come in ascending order of length. Each processor gets some; batches of long texts are small."""
    size = min(largest, max(SMALLEST_BATCH, -(-len(order) // parts())))
    batches = []
    start = 0
    while start < len(order):
        rows = list(order[start : start + size])
        while len(rows) > 1 and len(rows) * lengths[rows[-1]] > MAX_POSITIONS:
            rows = rows[: len(rows) // 2]
        batches.append(rows)
        start += len(rows)
    return batches


def _checked_decode(decode: DecodeConfig | None, default: DecodeConfig) -> DecodeConfig:
    """The decode settings of a call, or the default.

    Raises:
        TypeError: `decode` is not a DecodeConfig.
        UserError: a value is out of bounds.
    """
    if decode is None:
        return default
    if not isinstance(decode, DecodeConfig):
        raise TypeError(f"decode must be a DecodeConfig or None, got {type(decode).__name__}")
    return check_section(decode, "DecodeConfig")
