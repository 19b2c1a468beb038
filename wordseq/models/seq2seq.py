"""The encoder-decoder: ids in, logits or log-probabilities out. It does not depend on files, text or search."""

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple, Self

import keras
import tensorflow as tf

from wordseq.batches.batching import mask
from wordseq.config.schema import ModelConfig
from wordseq.models.attention import FeatureReader, make_attention
from wordseq.models.cells import State
from wordseq.models.layers import Bridge, Copying, Dense, OutputLayer, TokenDropout, embedding
from wordseq.models.losses import cross_entropy, token_nats
from wordseq.models.matmul import cast_once, matmul
from wordseq.models.rnn import Stack, without_gradient
from wordseq.models.sparse import IMPOSSIBLE_NATS, fenchel_young, map_named, possible_tokens
from wordseq.system.environment import check_fork

registered = keras.saving.register_keras_serializable("wordseq.model")

States = tuple[State, ...]
"""One state per decoder layer. With input feeding, a last state has one tensor: the last attended vector."""


@dataclasses.dataclass(frozen=True)
class SourceIds:
    """What some settings need from the source vocabulary."""

    features: int = 0
    """Number of features, such as inflection tags: the last ids. For `model.features` = "separate"."""
    copied: tuple[int, ...] = ()
    """For each source id the target id that is copied, see `layers.Copying`. For `model.copy`."""


NOTHING_KNOWN = SourceIds()
"""For models without features and copying."""


class Memory(NamedTuple):
    """The decoder's view of the source, computed once per sentence."""

    memory_bsh: tf.Tensor
    keys_bsh: tf.Tensor
    mask_bs: tf.Tensor
    context: tuple[tf.Tensor, ...] = ()
    """The encoder's last top output `[b, h]`, if it is an input of every decoder step."""
    copied: tuple[tf.Tensor, ...] = ()
    """With copying, the target id that each source position gives, `[b, s]`; see `Copying`."""
    features: tuple[tf.Tensor, ...] = ()
    """With separate features, what `FeatureReader.read` returns."""


class Decoded(NamedTuple):
    """The decoder's outputs: all that the distributions of the next tokens are computed from.

    The second axis t are the steps of a sentence, or its k hypotheses at one step.
    """

    hidden_bth: tf.Tensor
    """Vectors for `Seq2Seq.logits`."""
    weights_bts: tf.Tensor | None
    """Attention weights; None without attention."""
    vocab_share_bt1: tf.Tensor | None = None
    """With copying, the share g of the vocabulary, see `Copying`."""


@registered
class Seq2Seq(keras.Model):
    """Recurrent encoder-decoder with optional attention (Sutskever et al. 2014; Luong et al. 2015).

    The decoder runs over the complete target, then attention is a few large products:

        memory, last = encoder(embed(src));  state = bridge(last)
        h = decoder(embed(tgt), state);      a = tanh([h; context(h, memory)] W + b)    (Luong, equation 5)
        logits = a V + b

    The inputs of the decoder at step t depend on the settings. They are concatenated in this order:

        embed(tgt_t)   the last token; not for `model.kind` = "repeat_vector", which makes its output in one pass
        c              the encoder's last top output: with `model.peek` (Cho et al. 2014), and always for "repeat_vector"
        a_(t-1)        the last attended vector, initially 0: with `model.input_feeding` (Luong, section 3.3)

    With input feeding, attention is inside the recurrence, and the decoder runs step by step.

    With `model.features` = "separate", the encoder skips the features among the source ids. See `attention.FeatureReader`: its
    context is concatenated to that of the word, and the sum of what it reads is added to the decoder's initial outputs.

    With `model.copy`, the distribution is a mixture of this softmax and of the source's tokens, see `layers.Copying`.

    A plain Keras model: `model((src_ids_bs, tgt_ids_bt))` gives logits `[b, t, v]` for the token after each of `tgt_ids_bt`
    (which starts with BOS); with copying they are log-probabilities. `compile`, `fit`, `save`, `load_model`, `clone_model`,
    `export` and Keras's callbacks work.
    With `model.share_embeddings` source and target have one embedding; with `model.tie_embeddings` its transpose is V, so one
    matrix is all three (Press and Wolf 2017).

    Weights and sums are float32 whatever Keras's global policy is; `precision` alone changes the products.

    Args:
        config: sizes and kinds.
        src_size: source vocabulary.
        tgt_size: target vocabulary, v.
        source: what `model.features` and `model.copy` need from the source vocabulary.
        output_map: from logits to probabilities of the next token, see `sparse`. It belongs to the loss (`train.loss`).
        precision: number format of the large products, see `matmul`.
        seed: of initialisation and dropout.
        name: of the model; the names of its weights begin with it.

    Raises:
        UserError: this process was forked from one in which TensorFlow ran.
        ValueError: `model.copy` with another number of copied ids than source ids, separate features where there are none, or
            shared embeddings of two vocabularies.
    """

    def __init__(
        self,
        config: ModelConfig,
        src_size: int,
        tgt_size: int,
        *,
        source: SourceIds = NOTHING_KNOWN,
        output_map: str = "softmax",
        precision: str = "float32",
        seed: int = 1,
        name: str = "seq2seq",
    ) -> None:
        check_fork()
        super().__init__(name=name, dtype="float32")
        self.built: bool = False
        self.config = config
        self.src_size, self.tgt_size = src_size, tgt_size
        self.source = source
        self.output_map, self.precision, self.seed = output_map, precision, seed
        self.to_probabilities = map_named(output_map)
        self.copying: Copying | None = None
        self.feature_reader: FeatureReader | None = None
        seed *= 100_000
        shared: dict[str, Any] = {
            "dropout": config.dropout,
            "recurrent_dropout": config.recurrent_dropout,
            "residual": config.residual,
            "precision": precision,
        }
        # Tied, the embedding is also the output matrix: entries of size 1 would give far too confident first logits.
        tgt_scale = config.embed_dim**-0.5 if config.tie_embeddings else config.embed_scale
        src_scale, side = (tgt_scale, "") if config.share_embeddings else (config.embed_scale, "src_")
        self.src_embed = embedding(src_size, config.embed_dim, src_scale, seed + 1, f"{side}embed")
        self.encoder = Stack(
            config.cell,
            config.hidden_size,
            config.encoder_layers,
            bidirectional=config.bidirectional,
            seed=seed + 1000,
            name="encoder",
            **shared,
        )
        self._make_decoder(seed, shared, tgt_scale)
        inputs = None if config.tie_embeddings else config.hidden_size
        self.output_layer = OutputLayer(inputs, tgt_size, seed + 6, "output")
        self.drop_src, self.drop_tgt = (
            TokenDropout(config.word_dropout, config.dropout_of("embed"), seed + k + 14, seed + k + 7) for k in range(2)
        )
        self.drop_out = keras.layers.Dropout(config.dropout_of("output"), seed=seed + 9, dtype="float32")
        self.drop_context = keras.layers.Dropout(config.context_dropout, seed=seed + 13, dtype="float32")
        self.build([(None, None), (None, None)])

    def _make_decoder(self, seed: int, shared: dict[str, Any], tgt_scale: float) -> None:
        config, units = self.config, self.config.hidden_size
        if config.kind not in ("encoder_decoder", "repeat_vector"):
            raise ValueError(f"no encoder-decoder: kind {config.kind!r}; see build.make_model")
        self.sees_tokens = config.kind == "encoder_decoder"
        self.sees_context = config.peek or not self.sees_tokens
        if config.share_embeddings:
            self.tgt_embed = self.src_embed
            if self.src_size - self.source.features != self.tgt_size:
                sizes = f"{self.src_size} and {self.tgt_size} ids, {self.source.features} of them features"
                raise ValueError(f"model.share_embeddings needs one vocabulary for source and target, got {sizes}")
        elif self.sees_tokens:
            self.tgt_embed = embedding(self.tgt_size, config.embed_dim, tgt_scale, seed + 2, "tgt_embed")
        self.decoder = Stack(config.cell, units, config.decoder_layers, seed=seed + 2000, name="decoder", **shared)
        self.bridge = Bridge(config.bridge, config.decoder_layers, units, seed=seed + 3, name="bridge")
        self.attention = make_attention(
            config.attention, units, self.precision, seed + 4, weights_map=config.attention_map
        )
        if config.features == "separate":
            first = self.src_size - self.source.features
            kind = make_attention(
                config.attention, units, self.precision, seed + 12, weights_map=config.attention_map, layer="attention"
            )
            if kind is None or not self.source.features:
                raise ValueError("model.features = 'separate' needs attention, and features in the source vocabulary")
            self.feature_reader = FeatureReader(first, config.embed_dim, kind, seed + 11, "feature_reader")
        joined = (3 if self.feature_reader else 2) * units
        self.combine = Dense(joined, units, self.precision, seed + 5, "combine") if self.attention else None
        if config.copy:
            if len(self.source.copied) != self.src_size:
                found = len(self.source.copied)
                raise ValueError(f"model.copy needs {self.src_size} copied ids, one for each source id, got {found}")
            self.copying = Copying(self.source.copied, units + config.embed_dim, seed + 10, "copying")

    def get_config(self) -> dict[str, Any]:
        """The arguments that make this model again."""
        return {
            "config": dataclasses.asdict(self.config),
            "src_size": self.src_size,
            "tgt_size": self.tgt_size,
            "source": dataclasses.asdict(self.source),
            "output_map": self.output_map,
            "precision": self.precision,
            "seed": self.seed,
            "name": self.name,
            "trainable": self.trainable,
        }

    @classmethod
    def from_config(cls, config: Mapping[str, Any], custom_objects: Any = None) -> Self:
        """A model with these arguments and new weights."""
        del custom_objects  # Its layers are its own.
        arguments = dict(config)
        trainable = arguments.pop("trainable", True)
        source = arguments.pop("source")
        arguments["source"] = SourceIds(source["features"], tuple(source["copied"]))
        model = cls(ModelConfig(**arguments.pop("config")), **arguments)
        model.trainable = trainable
        return model

    def export(self, filepath: Any, *args: Any, input_signature: Any = None, **kwargs: Any) -> Any:
        """See `keras.Model.export`; the ids are int32, and what is exported has no gradient."""
        if input_signature is None:
            input_signature = [(keras.InputSpec("int32", (None, None)), keras.InputSpec("int32", (None, None)))]
        with without_gradient():
            return super().export(filepath, *args, input_signature=input_signature, **kwargs)

    def build(self, input_shape: Any) -> None:
        """Make all weights; their shapes are known from the settings."""
        if self.built:
            return
        self.src_embed.build((None, None))
        self.encoder.build((None, None, self.config.embed_dim))
        self._build_decoder()
        self.output_layer.build(None)
        self.built = True

    def _build_decoder(self) -> None:
        units = self.config.hidden_size
        if self.sees_tokens and not self.config.share_embeddings:
            self.tgt_embed.build((None, None))
        given = self.sees_tokens * self.config.embed_dim + (self.sees_context + self.config.input_feeding) * units
        self.decoder.build((None, None, given))
        self.bridge.build(self.encoder_state_parts)
        for layer in (self.attention, self.combine, self.feature_reader, self.copying):
            if layer is not None:
                layer.build(None)

    @property
    def encoder_state_parts(self) -> int:
        """Number of tensors in the state of one layer: e.g. 2 for the LSTM, 1 for the GRU."""
        return self.decoder.layers[0].cell.state_parts

    def set_vectors(self, side: str, ids_n: Any, vectors_ne: Any, *, freeze: bool = False) -> None:
        """Set pretrained vectors of tokens.

        Args:
            side: "src" or "tgt".
            ids_n: the tokens, each once.
            vectors_ne: their vectors.
            freeze: do not train these rows of the embedding, see `Embedding.freeze`.
        """
        layer = self.src_embed if side == "src" else self.tgt_embed
        layer.embeddings.assign(tf.tensor_scatter_nd_update(layer.embeddings.value, ids_n[:, None], vectors_ne))
        if freeze:
            layer.freeze(ids_n)

    @property
    def frozen_weights(self) -> list[keras.Variable]:
        """Embeddings with frozen rows. The gradient is 0 there; weight decay must skip these embeddings."""
        layers = (self.src_embed, None if self.config.share_embeddings else getattr(self, "tgt_embed", None))
        return [layer.embeddings for layer in layers if layer is not None and layer.frozen_v is not None]

    def encode(self, src_ids_bs: tf.Tensor, training: bool = False) -> tuple[Memory, States]:
        """The decoder's view of the source, and its initial states."""
        vectors_bse = self.drop_src(self.src_embed(src_ids_bs), training=training)
        mask_bs = mask(src_ids_bs)
        features: tuple[tf.Tensor, ...] = ()
        if self.feature_reader:
            features = self.feature_reader.read(src_ids_bs, vectors_bse)
            mask_bs &= ~features[-1]
        memory_bsh, states = self.encoder(vectors_bse, mask_bs, training=training)
        memory_bsh = self.drop_context(memory_bsh, training=training)
        keys_bsh = self.attention.keys(memory_bsh) if self.attention else memory_bsh
        context = (states[-1][0],) if self.sees_context else ()
        started = self.bridge(states)
        if self.feature_reader:
            total_bh = tf.reduce_sum(features[0], 1)
            started = tuple((state[0] + total_bh, *state[1:]) for state in started)
        # The attended vector is a state like those of the layers, so a search carries it along.
        if self.config.input_feeding:
            started = (*started, (tf.zeros_like(memory_bsh[:, 0]),))
        copied = (self.copying.copied(src_ids_bs),) if self.copying else ()
        return Memory(memory_bsh, keys_bsh, mask_bs, context, copied, features), started

    def decode(self, tgt_ids_bt: tf.Tensor, memory: Memory, states: States, training: bool = False) -> Decoded:
        """The decoder's outputs after each of `tgt_ids_bt`, which starts with BOS."""
        given = []
        if self.sees_tokens:
            given.append(self.drop_tgt(self.tgt_embed(tgt_ids_bt), training=training))
        if self.sees_context:
            given.append(tf.repeat(memory.context[0][:, None], tf.shape(tgt_ids_bt)[1], axis=1))
        vectors_bti = given[0] if len(given) == 1 else tf.concat(given, -1)
        if self.config.input_feeding:
            decoded = self._decode_by_steps(vectors_bti, memory, states, training)
        else:
            hidden_bth, _ = self.decoder(vectors_bti, mask(tgt_ids_bt), states, training=training)
            decoded = self._attend(hidden_bth, memory, training)
        return self._with_gate(decoded, given)

    def _decode_by_steps(self, vectors_bti: tf.Tensor, memory: Memory, states: States, training: bool) -> Decoded:
        """`decode` with input feeding: the attended vector of each step, after dropout, is an input of the next."""
        # Dropout is drawn before the loop, as in a decoder that runs over the complete target: the same seed drops the same.
        # Padding needs no mask here: it comes last, so no real position depends on it.
        batch, steps = tf.unstack(tf.shape(vectors_bti)[:2])
        vectors_tbi = tf.transpose(vectors_bti, [1, 0, 2])
        drops = self.decoder.draw(batch, steps) if training else None
        keep_tbh = self.drop_out(tf.ones([steps, batch, self.config.hidden_size]), training=training)

        def body(t: tf.Tensor, states: States, *found: tf.TensorArray) -> tuple[Any, ...]:
            inputs_bi = tf.concat([vectors_tbi[t], states[-1][0]], -1)
            hidden_bh, states = self.decoder.step(inputs_bi, states[:-1], None if drops is None else drops.at(t))
            # `training=False`: the dropout of `_attend` would draw in each step. `keep_tbh` takes its place.
            attended = self._attend(hidden_bh[:, None], memory, training=False)
            attended_bh = attended.hidden_bth[:, 0] * keep_tbh[t]
            values = (attended_bh, tf.squeeze(attended.weights_bts, 1))
            written = (array.write(t, value) for array, value in zip(found, values, strict=True))
            return t + 1, (*states, (attended_bh,)), *written

        arrays = [tf.TensorArray(tf.float32, steps) for _ in range(2)]
        with cast_once(self.weights, self.precision):
            found = tf.while_loop(lambda t, *_: t < steps, body, (0, states, *arrays), maximum_iterations=steps)[2:]
        return Decoded(*(tf.transpose(array.stack(), [1, 0, 2]) for array in found))

    def _attend(self, hidden_bth: tf.Tensor, memory: Memory, training: bool) -> Decoded:
        if self.attention is None or self.combine is None:
            return Decoded(self.drop_out(hidden_bth, training=training), None)
        context_bth, weights_bts = self.attention(hidden_bth, memory.keys_bsh, memory.memory_bsh, memory.mask_bs)
        joined = [hidden_bth, context_bth]
        if self.feature_reader:
            joined.append(self.feature_reader(hidden_bth, *memory.features))
        attended_bth = tf.tanh(self.combine(tf.concat(joined, -1)))
        return Decoded(self.drop_out(attended_bth, training=training), weights_bts)

    def _with_gate(self, decoded: Decoded, given: Sequence[tf.Tensor]) -> Decoded:
        """With the share of the vocabulary, if the model copies; `given` are the decoder's inputs, the embedding first."""
        if self.copying is None:
            return decoded
        return decoded._replace(vocab_share_bt1=self.copying(tf.concat([decoded.hidden_bth, given[0]], -1)))

    def log_probs(self, decoded: Decoded, memory: Memory) -> tf.Tensor:
        """Log-probabilities `[b, t, v]` of the next tokens; -inf for probability 0, which sparse outputs have."""
        logits_btv = self.logits(decoded.hidden_bth)
        if self.copying:
            shares = decoded.vocab_share_bt1, decoded.weights_bts, memory.copied[0]
            return tf.math.log(self.copying.probabilities(tf.nn.softmax(logits_btv), *shares))
        if self.output_map == "softmax":
            return tf.nn.log_softmax(logits_btv)
        return tf.math.log(self.to_probabilities(logits_btv, possible_tokens(self.tgt_size)))

    def nats(self, decoded: Decoded, memory: Memory, gold_bt: tf.Tensor) -> tf.Tensor:
        """-log p `[b, t]` of the gold tokens; 0 at padding, `IMPOSSIBLE_NATS` for probability 0.

        Faster than `log_probs`, which has all v tokens.
        """
        if self.copying:
            real_n2, _, _, nats_n = self._copied_nats(self.copying, decoded, memory, gold_bt)
            return tf.scatter_nd(real_n2, nats_n, tf.shape(gold_bt, tf.int64))
        real_n2, logits_nv, gold_n = self._at_real(decoded, gold_bt)
        if self.output_map == "softmax":
            nats_n = token_nats(logits_nv, gold_n)
        else:
            p_nv = self.to_probabilities(logits_nv, possible_tokens(self.tgt_size))
            p_n = tf.gather(p_nv, gold_n, batch_dims=1)
            nats_n = tf.where(p_n > 0, -tf.math.log(p_n), IMPOSSIBLE_NATS)
        return tf.scatter_nd(real_n2, nats_n, tf.shape(gold_bt, tf.int64))

    def token_losses(self, decoded: Decoded, memory: Memory, gold_bt: tf.Tensor) -> tf.Tensor:
        """The loss `[b, t]` of the gold tokens without label smoothing; 0 at padding. With softmax these are the nats."""
        if self.output_map == "softmax":
            return self.nats(decoded, memory, gold_bt)
        real_n2, logits_nv, gold_n = self._at_real(decoded, gold_bt)
        losses_n, _ = fenchel_young(self.output_map, logits_nv, gold_n)
        return tf.scatter_nd(real_n2, losses_n, tf.shape(gold_bt, tf.int64))

    def _at_real(self, decoded: Decoded, gold_bt: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor]:
        """The places `[n, 2]` of real tokens, their logits and ids. There are no logits at padding."""
        real_n2 = tf.where(mask(gold_bt))
        return real_n2, self.logits(tf.gather_nd(decoded.hidden_bth, real_n2)), tf.gather_nd(gold_bt, real_n2)

    def _copied_nats(
        self, copying: Copying, decoded: Decoded, memory: Memory, gold_bt: tf.Tensor
    ) -> tuple[tf.Tensor, ...]:
        """Places, logits, ids and nats of real tokens."""
        real_n2, logits_nv, gold_n = self._at_real(decoded, gold_bt)
        found = copying.of_gold(gold_bt, decoded.vocab_share_bt1, decoded.weights_bts, memory.copied[0])
        share_n, copied_n = (tf.gather_nd(part_bt, real_n2) for part_bt in found)
        return real_n2, logits_nv, gold_n, copying.nats(logits_nv, gold_n, share_n, copied_n)

    def training_loss(
        self, decoded: Decoded, memory: Memory, gold_bt: tf.Tensor, label_smoothing: float = 0.0
    ) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor]:
        """The loss to minimise, and without label smoothing or gradient, summed over real tokens; and their number.

        With copying, label smoothing is that of the vocabulary: (1 - e) * -log p(target) + e * mean of -log p_vocab(id).
        """
        if self.copying:
            _, logits_nv, gold_n, nats_n = self._copied_nats(self.copying, decoded, memory, gold_bt)
            plain = tf.reduce_sum(nats_n)
            if not label_smoothing:
                return plain, tf.stop_gradient(plain), tf.size(gold_n)
            uniform = tf.reduce_sum(tf.reduce_logsumexp(logits_nv, -1) - tf.reduce_mean(logits_nv, -1))
            loss = (1 - label_smoothing) * plain + label_smoothing * uniform
            return loss, tf.stop_gradient(plain), tf.size(gold_n)
        # No logits at padding: the product with the vocabulary is most of the work.
        real_n = tf.where(tf.reshape(mask(gold_bt), [-1]))[:, 0]
        hidden_nh = tf.gather(tf.reshape(decoded.hidden_bth, [-1, decoded.hidden_bth.shape[-1]]), real_n)
        gold_n = tf.gather(tf.reshape(gold_bt, [-1]), real_n)
        if self.output_map == "softmax":
            loss, plain = cross_entropy(
                hidden_nh,
                *self.output_weights(),
                gold_n,
                label_smoothing=label_smoothing,
                precision=self.precision,
            )
        else:
            found = fenchel_young(self.output_map, self.logits(hidden_nh), gold_n, label_smoothing)
            loss, plain = map(tf.reduce_sum, found)
        return loss, plain, tf.size(gold_n)

    def logits(self, hidden_nh: tf.Tensor) -> tf.Tensor:
        """Logits `[..., v]` of vectors from `decode`."""
        tied = self.config.tie_embeddings
        kernel = self._tied_matrix() if tied else self.output_layer.kernel
        return matmul(hidden_nh, kernel, self.precision, transpose_b=tied) + self.output_layer.bias

    def output_weights(self) -> tuple[tf.Tensor, tf.Tensor]:
        """Matrix `[h, v]` and bias `[v]` of the logits. If tied, the matrix is the transposed target embedding."""
        if self.config.tie_embeddings:
            return tf.transpose(self._tied_matrix()), tf.convert_to_tensor(self.output_layer.bias)
        return tf.convert_to_tensor(self.output_layer.kernel), tf.convert_to_tensor(self.output_layer.bias)

    def _tied_matrix(self) -> tf.Tensor | keras.Variable:
        """The target embedding `[v, e]`. The features of sources are the last rows of a shared one, and no target tokens."""
        matrix = self.tgt_embed.embeddings
        return matrix if matrix.shape[0] == self.tgt_size else matrix[: self.tgt_size]

    def decoder_step(self, last_ids_bk: tf.Tensor, memory: Memory, states: States) -> tuple[tf.Tensor, States]:
        """Log-probabilities `[b, k, v]` of the next token of k hypotheses per sentence, and the states after their last tokens.

        Args:
            last_ids_bk: the last token of each hypothesis; initially BOS.
            memory: of the b sentences; it is not repeated for their hypotheses.
            states: every tensor `[b, k, h]`.
        """
        decoded, states = self._step(last_ids_bk, memory, states)
        return self.log_probs(decoded, memory), states

    def _step(self, last_ids_bk: tf.Tensor, memory: Memory, states: States) -> tuple[Decoded, States]:
        """`decode` for one step of k hypotheses, and the states after it."""
        batch, beams = tf.unstack(tf.shape(last_ids_bk))
        # The recurrence has no beam axis: hypotheses become rows. Attention does, so that memory stays `[b, s, h]`.
        flat = tf.nest.map_structure(lambda part: tf.reshape(part, [batch * beams, part.shape[-1]]), states)
        given = [self.tgt_embed(tf.reshape(last_ids_bk, [batch * beams]))] if self.sees_tokens else []
        given += [tf.repeat(context_bh, beams, axis=0) for context_bh in memory.context]
        if self.config.input_feeding:
            *flat, (attended_nh,) = flat
            given.append(attended_nh)
        hidden_nh, flat = self.decoder.step(given[0] if len(given) == 1 else tf.concat(given, -1), flat)
        states = tf.nest.map_structure(lambda part: tf.reshape(part, [batch, beams, part.shape[-1]]), flat)
        hidden_bkh = tf.reshape(hidden_nh, [batch, beams, hidden_nh.shape[-1]])
        decoded = self._attend(hidden_bkh, memory, training=False)
        if self.config.input_feeding:
            states = (*states, (decoded.hidden_bth,))
        # `given` are rows here, one for each hypothesis.
        first = [tf.reshape(part, [batch, beams, part.shape[-1]]) for part in given[:1]]
        return self._with_gate(decoded, first), states

    def call(self, inputs: tuple[tf.Tensor, tf.Tensor], training: bool = False) -> tf.Tensor:
        """Logits `[b, t, v]` of the token after each of `tgt_ids_bt`, given `(src_ids_bs, tgt_ids_bt)`."""
        src_ids_bs, tgt_ids_bt = inputs
        memory, states = self.encode(src_ids_bs, training=training)
        decoded = self.decode(tgt_ids_bt, memory, states, training=training)
        return self.log_probs(decoded, memory) if self.copying else self.logits(decoded.hidden_bth)
