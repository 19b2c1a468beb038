"""Sequence-to-sequence models over real-valued vectors: ordinary Keras models to compile, fit, nest and save.

They map vectors `[b, s, input_dim]` to vectors `[b, output_length, output_dim]`. Names and order of arguments are those of the
seq2seq add-on of Keras 2; docs/vectors.md lists them and the differences.
"""

from collections.abc import Callable, Sequence
from typing import Any

import keras

from wordseq.vectors.arguments import Shape, check_shape_for, depths, positive_integer, rate, source_shape, switches
from wordseq.vectors.layers import AttentionDecoder, FeedbackDecoder, LSTMStack, RealPositions, register

Size = int | None
Depth = int | Sequence[int]
GivenShape = Sequence[int | None] | None


class _VectorModel(keras.Model):
    """The base class of the models.

    Attributes:
        encoder: the encoder layer; with two directions, the forward one.
        decoder: the decoder layer.
        depth: numbers of layers of encoder and decoder.
    """

    def __init__(self, inputs: Any, outputs: Any, plan: "_Plan") -> None:
        super().__init__(inputs=inputs, outputs=outputs, name=plan.arguments["name"])
        self.supports_masking = True
        self._arguments = plan.arguments
        self.encoder = self.get_layer("encoder")
        self.decoder = self.get_layer("decoder")
        self.depth = plan.depth

    def reset_states(self) -> None:
        """Reset the state of a stateful model."""
        self.encoder.reset_state()

    def compute_mask(self, *_: Any, **__: Any) -> None:
        """No mask: all outputs are real, even if the source has padding."""
        return

    def get_config(self) -> dict[str, Any]:
        """The arguments of the constructor."""
        return self._arguments | {"name": self.name, "trainable": self.trainable}

    @classmethod
    def from_config(cls, config: dict[str, Any], custom_objects: Any = None) -> "_VectorModel":
        """A model with these arguments and new weights."""
        arguments = dict(config)
        trainable = arguments.pop("trainable", True)
        model = cls(**arguments)
        model.trainable = trainable
        return model


@register
class SimpleSeq2Seq(_VectorModel):
    """Encoder and decoder with only a context vector between them.

        c = encoder(x): output of the top layer at the last real step
        y = W decoder(c, c, ..., c) + b: c is the input of each of the `output_length` steps

    Args:
        output_dim: size of the output vectors.
        output_length: number of output vectors.
        hidden_dim: size of every LSTM layer; `output_dim` by default.
        input_shape: `(input_length, input_dim)`.
        batch_size: sequences per batch; needed with `stateful`.
        batch_input_shape: `(batch_size, input_length, input_dim)`.
        input_dim: size of the input vectors.
        input_length: number of input vectors; any by default.
        depth: LSTM layers of encoder and of decoder, or a pair of both numbers.
        dropout: share of entries dropped, in training, between layers and from encoder to decoder.
        unroll: put every step into the graph instead of a loop: faster for short sequences, slow to compile for long ones.
        stateful: the encoder keeps its state from batch to batch, until `reset_states`.
        name: of the model.

    Raises:
        ValueError: an argument is wrong; the message names it and the allowed values.
    """

    def __init__(
        self,
        output_dim: int,
        output_length: int,
        hidden_dim: Size = None,
        input_shape: GivenShape = None,
        batch_size: Size = None,
        batch_input_shape: GivenShape = None,
        input_dim: Size = None,
        input_length: Size = None,
        depth: Depth = 1,
        dropout: float = 0.0,
        unroll: bool = False,
        stateful: bool = False,
        name: str | None = None,
    ) -> None:
        plan = _Plan(locals())
        source = plan.input()
        context = plan.handed_on(plan.encoder()(source))
        repeated = keras.layers.RepeatVector(plan.output_length, name="repeat")(context)
        stack = LSTMStack(plan.hidden_dim, plan.depth[1], dropout=plan.dropout, name="stack")
        hidden = keras.layers.RNN(stack, return_sequences=True, unroll=plan.unroll, name="decoder")(repeated)
        super().__init__(source, keras.layers.Dense(plan.output_dim, name="readout")(hidden), plan)


@register
class Seq2Seq(_VectorModel):
    """Decoder that starts from the encoder's state and gets its own output (Sutskever et al. 2014, Cho et al. 2014).

        c, s = encoder(x): output of the top layer, and states, at the last real step
        h_t = decoder([y_(t-1)], s_(t-1)), with `peek` decoder([y_(t-1); c], s_(t-1));  y_t = W h_t + b
        y_0 = V c + d;  s_0 = s, without `broadcast_state` zeros

    Args:
        output_dim: see `SimpleSeq2Seq`, also for all arguments that are not explained here.
        output_length: see there.
        batch_input_shape: see there.
        input_shape: see there.
        batch_size: see there.
        input_dim: see there.
        input_length: see there.
        hidden_dim: see there.
        depth: see there.
        broadcast_state: the decoder starts from the encoder's last states. Without `inner_broadcast_state` they are copied
            layer by layer, top to top. The upper layers of a deeper decoder start from the encoder's top layer.
        unroll: see there.
        stateful: see there.
        inner_broadcast_state: the layers of a stack share one state, which each step passes from layer to layer; see
            `LSTMStack`. No difference at depth 1.
        teacher_force: teacher forcing. The model takes `[x, y]`, y `[b, output_length, output_dim]`. In training each step is
            fed the gold output of the step before. `predict` and `evaluate` ignore y.
        peek: c is also an input of every decoder step.
        dropout: see there.
        name: see there.

    Raises:
        ValueError: an argument is wrong; the message names it and the allowed values.
    """

    def __init__(
        self,
        output_dim: int,
        output_length: int,
        batch_input_shape: GivenShape = None,
        input_shape: GivenShape = None,
        batch_size: Size = None,
        input_dim: Size = None,
        input_length: Size = None,
        hidden_dim: Size = None,
        depth: Depth = 1,
        broadcast_state: bool = True,
        unroll: bool = False,
        stateful: bool = False,
        inner_broadcast_state: bool = True,
        teacher_force: bool = False,
        peek: bool = False,
        dropout: float = 0.0,
        name: str | None = None,
    ) -> None:
        plan = _Plan(locals())
        switches(broadcast_state=broadcast_state, inner_broadcast_state=inner_broadcast_state, peek=peek)
        source, truth = plan.input(), plan.truth()
        context, *states = plan.encoder(share_state=inner_broadcast_state, return_state=True)(source)
        started = _handed_over(states, 1 if inner_broadcast_state else plan.depth[1]) if broadcast_state else None
        decoder = plan.decoder(FeedbackDecoder, share_state=inner_broadcast_state, peek=peek)
        outputs = decoder(plan.handed_on(context), started, truth)
        super().__init__(source if truth is None else [source, truth], outputs, plan)


@register
class AttentionSeq2Seq(_VectorModel):
    """Decoder with attention to all encoder outputs in every step (Bahdanau et al. 2015).

        m = encoder(x): outputs at all steps, the sum of both directions
        h_t = decoder([y_(t-1); v_t], s_(t-1));  y_t = W h_t + b;  y_0 = 0, s_0 = 0
        v_t = sum over j of a_tj m_j;  a_t = softmax over real steps j of score(h_(t-1), m_j), see `AttentionDecoder`

    `with_attention` returns a model that also outputs a.

    Args:
        output_dim: see `SimpleSeq2Seq`, also for all arguments that are not explained here.
        output_length: see there.
        batch_input_shape: see there.
        batch_size: see there.
        input_shape: see there.
        input_length: see there.
        input_dim: see there.
        hidden_dim: size of every LSTM layer in each direction, and of the hidden layer of attention.
        depth: see there.
        bidirectional: a second encoder reads from the last step to the first.
        unroll: see there.
        stateful: see there; the backward encoder starts from zero in every batch.
        dropout: see there.
        teacher_force: see `Seq2Seq`.
        name: see there.

    Raises:
        ValueError: an argument is wrong; the message names it and the allowed values.
    """

    def __init__(
        self,
        output_dim: int,
        output_length: int,
        batch_input_shape: GivenShape = None,
        batch_size: Size = None,
        input_shape: GivenShape = None,
        input_length: Size = None,
        input_dim: Size = None,
        hidden_dim: Size = None,
        depth: Depth = 1,
        bidirectional: bool = True,
        unroll: bool = False,
        stateful: bool = False,
        dropout: float = 0.0,
        teacher_force: bool = False,
        name: str | None = None,
    ) -> None:
        plan = _Plan(locals())
        switches(bidirectional=bidirectional)
        source, truth = plan.input(), plan.truth()
        memory = plan.encoder(return_sequences=True)(source)
        if bidirectional:
            # Not stateful: the next batch continues after this one, so it does not precede it in the backward direction.
            encoder = plan.encoder("backward_encoder", return_sequences=True, go_backwards=True, stateful=False)
            memory = keras.layers.Add(name="memory")([memory, keras.ops.flip(encoder(source), axis=1)])
        outputs, self._weights_bts = plan.decoder(AttentionDecoder)(
            plan.handed_on(memory), RealPositions(name="real")(source), truth
        )
        super().__init__(source if truth is None else [source, truth], outputs, plan)

    def with_attention(self) -> keras.Model:
        """A model of the same layers with two outputs: the output of this model, and attention weights `[b, t, s]`."""
        return keras.Model(self.input, [self.outputs[0], self._weights_bts], name=f"{self.name}_with_attention")


class _Plan:
    """The checked arguments of a model, and the layers that all models have."""

    def __init__(self, given: dict[str, Any]) -> None:
        """Check the arguments that all models have.

        Args:
            given: `locals()` of a constructor.

        Raises:
            ValueError: an argument is wrong.
        """
        # `locals()` also has `self` and, because of `super()`, `__class__`.
        arguments = {name: value for name, value in given.items() if name not in ("self", "__class__")}
        self.arguments = arguments
        self.output_dim = positive_integer("output_dim", arguments["output_dim"])
        self.output_length = positive_integer("output_length", arguments["output_length"])
        hidden_dim = arguments["hidden_dim"]
        self.hidden_dim = self.output_dim if hidden_dim is None else positive_integer("hidden_dim", hidden_dim)
        self.depth = depths(arguments["depth"])
        self.dropout = rate("dropout", arguments["dropout"])
        self.unroll, self.stateful = arguments["unroll"], arguments["stateful"]
        self.teacher_force = arguments.get("teacher_force", False)
        switches(unroll=self.unroll, stateful=self.stateful, teacher_force=self.teacher_force)
        names = ("input_dim", "input_length", "input_shape", "batch_size", "batch_input_shape")
        self.shape: Shape = source_shape(**{name: arguments[name] for name in names})
        check_shape_for(self.shape, stateful=self.stateful, unroll=self.unroll)

    def input(self) -> Any:
        return keras.Input(batch_shape=self.shape, name="source")

    def truth(self) -> Any:
        """Input for the gold outputs; None without teacher forcing."""
        if not self.teacher_force:
            return None
        return keras.Input(batch_shape=(self.shape[0], self.output_length, self.output_dim), name="truth")

    def encoder(self, name: str = "encoder", *, share_state: bool = False, **kwargs: Any) -> keras.layers.RNN:
        """A stack of LSTM layers that reads the source; `kwargs` of `keras.layers.RNN`."""
        stack = LSTMStack(self.hidden_dim, self.depth[0], share_state, self.dropout, name="stack")
        return keras.layers.RNN(stack, **{"unroll": self.unroll, "stateful": self.stateful, "name": name} | kwargs)

    def decoder(self, make: Callable[..., Any], **kwargs: Any) -> Any:
        """A decoder; `kwargs` of `make`, its class."""
        sizes = (self.output_length, self.output_dim, self.hidden_dim, self.depth[1])
        return make(*sizes, dropout=self.dropout, unroll=self.unroll, name="decoder", **kwargs)

    def handed_on(self, encoded: Any) -> Any:
        """The output of the encoder with dropout, for the decoder."""
        return keras.layers.Dropout(self.dropout, name="dropout")(encoded)


def _handed_over(states: Sequence[Any], layers: int) -> list[Any]:
    """Initial h and c of each of the decoder's `layers`, from the last states of the encoder's layers."""
    pairs = list(zip(states[::2], states[1::2], strict=True))
    # A deeper encoder's lower layers are skipped; a deeper decoder's upper layers all get the encoder's top.
    top, skipped = len(pairs) - 1, max(0, len(pairs) - layers)
    return [part for k in range(layers) for part in pairs[min(skipped + k, top)]]
