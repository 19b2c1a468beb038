"""The encoder, and one step of the decoder, as ONNX graphs; the numbers are those of `models/seq2seq`.

Encoder: `src_ids` `[b, s]` int32, each row with EOS at its end and then PAD. It returns the memory of the sentences and the
first states.

Decoder: `last_ids` `[b, k]` int32 of k hypotheses per sentence, and `count`. It returns the `count` most probable next tokens.
All outputs of the encoder are its inputs too, by the same names. Its output `next_NAME` replaces NAME in the next step. PAD and
BOS have the log-probability -inf.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from onnx import ModelProto, ValueInfoProto

from wordseq.config.schema import ModelConfig
from wordseq.export.onnx_cells import CellState, OnnxCell, run_layer
from wordseq.export.onnx_graph import BOOL, FLOAT, INT32, INT64, Axes, GraphBuilder, Matrix, Value
from wordseq.export.onnx_maps import masked_map, possible_map
from wordseq.runs.checkpoint import Arrays
from wordseq.text.vocab import BOS_ID, EOS_ID, NOT_COPIED, PAD_ID

_Outputs = dict[str, tuple[Value, Axes]]


@dataclass(frozen=True)
class OnnxNetwork:
    """What the graphs are made of.

    Attributes:
        model: settings of the model.
        output_map: `train.loss`, from logits to probabilities.
        arrays: the weights of a checkpoint.
        src_size: source vocabulary.
        tgt_size: target vocabulary.
        features: number of features: the last source ids.
        copied: for each source id the target id that is copied, see `text.vocab.copied_ids`; empty without copying.
    """

    model: ModelConfig
    output_map: str
    arrays: Arrays
    src_size: int
    tgt_size: int
    features: int = 0
    copied: tuple[int, ...] = ()

    @property
    def separate(self) -> bool:
        """Whether features have an attention of their own."""
        return self.model.features == "separate"


class _Part:
    """What encoder and decoder share: the graph and the weights by their names."""

    def __init__(self, network: OnnxNetwork, int8: bool) -> None:
        self.network, self.config, self.builder = network, network.model, GraphBuilder(int8=int8)

    def array(self, name: str) -> npt.NDArray[np.float32]:
        return self.network.arrays[f"seq2seq/{name}"]

    def weight(self, name: str) -> Value:
        return self.builder.weight(name, self.array(name))

    def matrix(self, name: str) -> Matrix:
        return Matrix(name, self.array(name))

    def dense(self, name: str, inputs: Value) -> Value:
        return inputs @ self.matrix(f"{name}/kernel") + self.weight(f"{name}/bias")

    def cell(self, path: str) -> OnnxCell:
        prefix = f"seq2seq/{path}/{self.config.cell}/"
        found = {
            name.removeprefix(prefix): array for name, array in self.network.arrays.items() if name.startswith(prefix)
        }
        return OnnxCell(self.builder, self.config.cell, f"{path}/{self.config.cell}", found)

    def embedded(self, side: str, ids: Value) -> Value:
        name = "embed" if self.config.share_embeddings else f"{side}_embed"
        return self.builder.rows(self.matrix(f"{name}/embeddings"), ids)

    def keys(self, name: str, memory_bsh: Value) -> Value:
        """See `models.attention.DotAttention.keys`."""
        if self.config.attention == "general":
            # I + V / sqrt(units) as one matrix.
            offset = self.array(f"{name}/offset")
            kernel = np.eye(len(offset), dtype=np.float32) + offset * np.float32(len(offset) ** -0.5)
            return memory_bsh @ Matrix(f"{name}/kernel", kernel)
        if self.config.attention == "additive":
            return memory_bsh @ self.matrix(f"{name}/memory_kernel")
        return memory_bsh


class _Encoder(_Part):
    def outputs(self) -> _Outputs:
        """See the module."""
        g, config = self.builder, self.config
        ids_bs = g.named("src_ids")
        ids_sb = g.op("Transpose", ids_bs, perm=[1, 0])
        vectors_sbe = self.embedded("src", ids_sb)
        real_sb = mask_sb = g.op("Not", g.op("Equal", ids_sb, np.array(PAD_ID, np.int32)))
        features: _Outputs = {}
        total_bh = None
        if self.network.separate:
            is_feature_sb = g.op(
                "Not", g.op("Less", ids_sb, np.array(self.network.src_size - self.network.features, np.int32))
            )
            mask_sb = g.op("And", real_sb, g.op("Not", is_feature_sb))
            features, total_bh = self._features(vectors_sbe, is_feature_sb)
        outputs_sbh, states = self._stack(vectors_sbe, mask_sb)
        memory_bsh = g.op("Transpose", outputs_sbh, perm=[1, 0, 2])
        mask_bs = g.op("Transpose", mask_sb, perm=[1, 0])
        if config.kind == "same_length":
            return self._same_length(memory_bsh, mask_bs)
        found = features
        if config.attention != "none":
            found["memory"] = memory_bsh, Axes(FLOAT, ("batch", "source", config.hidden_size))
            if config.attention != "dot":
                found["keys"] = self.keys("attention", memory_bsh), Axes(FLOAT, ("batch", "source", config.hidden_size))
            found["mask"] = mask_bs, Axes(BOOL, ("batch", "source"))
        if config.peek or config.kind == "repeat_vector":
            found["context"] = g.axis(states[-1][0], 1), Axes(FLOAT, ("batch", 1, config.hidden_size))
        if self.network.copied:
            copied = np.array(self.network.copied, np.int64)
            found["copied"] = g.op("Gather", copied, ids_bs), Axes(INT64, ("batch", "source"))
        return found | self._first_states(states, total_bh)

    def _stack(self, vectors_sbi: Value, mask_sb: Value) -> tuple[Value, list[CellState]]:
        """See `models.rnn.Stack`."""
        states = []
        for k in range(self.config.encoder_layers):
            path = f"encoder/layer_{k}"
            names = [f"{path}/ahead", f"{path}/back"] if self.config.bidirectional else [path]
            # Features stand between the words and EOS: the words are not simply the first positions.
            outputs_sbh, state = run_layer(
                list(map(self.cell, names)), vectors_sbi, mask_sb, masked=self.network.separate
            )
            vectors_sbi = vectors_sbi + outputs_sbh if self.config.residual and k else outputs_sbh
            states.append(state)
        return vectors_sbi, states

    def _features(self, vectors_sbe: Value, is_feature_sb: Value) -> tuple[_Outputs, Value]:
        """See `models.attention.FeatureReader.read`; and the sum of the vectors."""
        g, units = self.builder, self.config.hidden_size
        mask_bs = g.op("Transpose", is_feature_sb, perm=[1, 0])
        vectors_bse = g.op("Transpose", vectors_sbe, perm=[1, 0, 2])
        encoded_bsh = g.op("Tanh", self.dense("feature_reader/encoder", vectors_bse))
        encoded_bsh = g.op("Where", g.axis(mask_bs, 2), encoded_bsh, g.value(0.0))
        found: _Outputs = {
            "feature_memory": (encoded_bsh, Axes(FLOAT, ("batch", "source", units))),
            "feature_mask": (mask_bs, Axes(BOOL, ("batch", "source"))),
        }
        if self.config.attention != "dot":
            keys = self.keys("feature_reader/attention", encoded_bsh)
            found["feature_keys"] = keys, Axes(FLOAT, ("batch", "source", units))
        return found, g.op("ReduceSum", encoded_bsh, np.array([1]), keepdims=0)

    def _first_states(self, states: list[CellState], total_bh: Value | None) -> _Outputs:
        """See `models.layers.Bridge`; of each layer and tensor `[b, 1, h]`, and for input feeding a vector of zeros."""
        g, config = self.builder, self.config
        top, skipped = len(states) - 1, max(0, len(states) - config.decoder_layers)
        flat = []
        for k in range(config.decoder_layers):
            parts = list(states[min(skipped + k, top)])
            for number, part in enumerate(parts):
                if config.bridge == "zero":
                    parts[number] = part * 0.0
                elif config.bridge == "dense":
                    parts[number] = g.op("Tanh", self.dense(f"bridge/part_{k * len(parts) + number}", part))
            if total_bh is not None:
                parts[0] = parts[0] + total_bh
            flat += parts
        if config.input_feeding:
            flat.append(states[0][0] * 0.0)
        axes = Axes(FLOAT, ("batch", 1, config.hidden_size))
        return {f"state_{k}": (g.axis(part, 1), axes) for k, part in enumerate(flat)}

    def _same_length(self, memory_bsh: Value, mask_bs: Value) -> _Outputs:
        """See `models.same_length`: the memory with a vector of zeros after it, and the place of the next token."""
        g, units = self.builder, self.config.hidden_size
        memory_bsh = g.op("Where", g.axis(mask_bs, 2), memory_bsh, g.value(0.0))
        none = g.op("Concat", g.shape(memory_bsh, 0), np.array([1, units]), axis=0)
        padded = g.op("Concat", memory_bsh, g.op("Expand", g.value(0.0), none), axis=1)
        first = g.op("Expand", np.array(0), g.op("Concat", g.shape(memory_bsh, 0), np.array([1, 1]), axis=0))
        return {
            "memory": (padded, Axes(FLOAT, ("batch", "padded", units))),
            "state_0": (first, Axes(INT64, ("batch", 1, 1))),
        }


class _Decoder(_Part):
    def __init__(self, network: OnnxNetwork, int8: bool, given: Mapping[str, Axes]) -> None:
        super().__init__(network, int8)
        self.given = given

    def outputs(self) -> _Outputs:
        """See the module."""
        g, units = self.builder, self.config.hidden_size
        weights_bks = embedded_bke = None
        if self.config.kind == "same_length":
            hidden_bkh, after = self._at_place()
        else:
            hidden_bkh, after, embedded_bke = self._hidden()
        if self.config.attention != "none":
            weights_bks, context_bkh = self._context("", "attention", hidden_bkh)
            joined = [hidden_bkh, context_bkh]
            if self.network.separate:
                joined.append(self._context("feature_", "feature_reader/attention", hidden_bkh)[1])
            hidden_bkh = g.op("Tanh", self.dense("combine", g.op("Concat", *joined, axis=-1)))
        if self.config.input_feeding:
            after.append(hidden_bkh)
        log_probs_bkv = self._log_probs(hidden_bkh, weights_bks, embedded_bke)
        never_v = np.zeros(self.network.tgt_size, np.float32)
        never_v[[PAD_ID, BOS_ID]] = -np.inf
        log_probs_bkv = log_probs_bkv + never_v
        values, ids = g.ops("TopK", 2, log_probs_bkv, g.named("count"), axis=-1)
        axes = ("batch", "hypotheses")
        found: _Outputs = {
            "log_probs": (values, Axes(FLOAT, (*axes, "best"))),
            "ids": (ids, Axes(INT64, (*axes, "best"))),
            "end_log_probs": (g.op("Gather", log_probs_bkv, np.array(EOS_ID), axis=-1), Axes(FLOAT, axes)),
        }
        if weights_bks is not None:
            found["weights"] = weights_bks, Axes(FLOAT, (*axes, "source"))
        kind, last = (INT64, 1) if self.config.kind == "same_length" else (FLOAT, units)
        return found | {f"next_state_{k}": (value, Axes(kind, (*axes, last))) for k, value in enumerate(after)}

    def _hidden(self) -> tuple[Value, list[Value], Value | None]:
        """See `models.seq2seq.Seq2Seq._step`: the output of the top layer, the states, the embedding of the last token."""
        g, config = self.builder, self.config
        given = []
        states = [g.named(name) for name in self.given if name.startswith("state_")]
        if config.kind == "encoder_decoder":
            given.append(self.embedded("tgt", g.named("last_ids")))
        if "context" in self.given:
            # As many as there are hypotheses.
            given.append(g.named("context") + states[0] * 0.0)
        if config.input_feeding:
            given.append(states.pop())
        inputs = given[0] if len(given) == 1 else g.op("Concat", *given, axis=-1)
        after: list[Value] = []
        parts = len(states) // config.decoder_layers
        for k in range(config.decoder_layers):
            cell = self.cell(f"decoder/layer_{k}")
            new = cell.advance(cell.project(inputs), tuple(states[k * parts : (k + 1) * parts]))
            inputs = inputs + new[0] if config.residual and k else new[0]
            after += new
        return inputs, after, given[0] if config.kind == "encoder_decoder" else None

    def _at_place(self) -> tuple[Value, list[Value]]:
        g = self.builder
        places_bk1, memory = g.named("state_0"), g.named("memory")
        last = g.shape(memory, 1) - np.array([1])
        hidden = g.op("GatherND", memory, g.op("Min", places_bk1, last), batch_dims=1)
        return hidden, [places_bk1 + np.array(1)]

    def _context(self, prefix: str, name: str, query_bkh: Value) -> tuple[Value, Value]:
        """See `models.attention.DotAttention.call`: weights and contexts."""
        g = self.builder
        memory_bsh = g.named(f"{prefix}memory")
        keys_bsh = memory_bsh if self.config.attention == "dot" else g.named(f"{prefix}keys")
        if self.config.attention == "additive":
            query_bkh = query_bkh @ self.matrix(f"{name}/query_kernel")
            both_bksh = g.op("Tanh", g.axis(query_bkh, 2) + g.axis(keys_bsh, 1))
            scores_bks = g.op("Squeeze", both_bksh @ self.matrix(f"{name}/vector"), np.array([-1]))
        else:
            scores_bks = query_bkh @ g.op("Transpose", keys_bsh, perm=[0, 2, 1])
        mask_b1s = g.axis(g.named(f"{prefix}mask"), 1)
        weights_bks = masked_map(self.config.attention_map, scores_bks, mask_b1s)
        return weights_bks, weights_bks @ memory_bsh

    def _log_probs(self, hidden_bkh: Value, weights_bks: Value | None, embedded_bke: Value | None) -> Value:
        """See `models.seq2seq.Seq2Seq.log_probs`."""
        g, network = self.builder, self.network
        if self.config.tie_embeddings:
            name = "embed" if self.config.share_embeddings else "tgt_embed"
            # A product with a constant is fast, and becomes int8; a transposed embedding would be neither.
            kernel = Matrix("output/kernel", self.array(f"{name}/embeddings")[: network.tgt_size].T)
        else:
            kernel = self.matrix("output/kernel")
        logits_bkv = hidden_bkh @ kernel + self.weight("output/bias")
        if network.copied and weights_bks is not None and embedded_bke is not None:
            return g.op("Log", self._mixture(logits_bkv, hidden_bkh, weights_bks, embedded_bke))
        if network.output_map == "softmax":
            return g.op("LogSoftmax", logits_bkv, axis=-1)
        return g.op("Log", possible_map(network.output_map, logits_bkv, network.tgt_size))

    def _mixture(self, logits_bkv: Value, hidden_bkh: Value, weights_bks: Value, embedded_bke: Value) -> Value:
        """See `models.layers.Copying`."""
        g = self.builder
        gate = self.dense("copying/gate", g.op("Concat", hidden_bkh, embedded_bke, axis=-1))
        g_bk1 = g.op("Sigmoid", g.op("Clip", gate, np.float32(-15.0), np.float32(15.0)))
        copied_b1s = g.axis(g.named("copied"), 1)
        nothing_b1s = g.op("Equal", copied_b1s, np.array(NOT_COPIED))
        rest_bks = g.op("Where", nothing_b1s, weights_bks, g.value(0.0))
        given_bks = g.op("Where", nothing_b1s, g.value(0.0), weights_bks) * (1 - g_bk1)
        share_bk1 = g_bk1 + (1 - g_bk1) * g.op("ReduceSum", rest_bks, np.array([-1]))
        ids_bks = g.op("Expand", g.op("Max", copied_b1s, np.array(0)), g.op("Shape", given_bks))
        vocab_bkv = g.op("Softmax", logits_bkv, axis=-1) * share_bk1
        mixed_bkv = g.op("ScatterElements", vocab_bkv, ids_bks, given_bks, axis=-1, reduction="add")
        return g.op("Max", mixed_bkv, np.float32(1e-38))


def build_encoder(network: OnnxNetwork, *, int8: bool = False) -> ModelProto:
    """The encoder's graph; see the module. `int8`: see `GraphBuilder`."""
    encoder = _Encoder(network, int8)
    return encoder.builder.model("encoder", {"src_ids": Axes(INT32, ("batch", "source"))}, encoder.outputs())


def build_decoder(network: OnnxNetwork, encoder: ModelProto, *, int8: bool = False) -> ModelProto:
    """The graph of a decoder step, which continues what `encoder` returns."""
    given = {value.name: _axes(value) for value in encoder.graph.output}
    decoder = _Decoder(network, int8, given)
    outputs = decoder.outputs()
    inputs = {"count": Axes(INT64, (1,))}
    if network.model.kind == "encoder_decoder":
        inputs["last_ids"] = Axes(INT32, ("batch", "hypotheses"))
    return decoder.builder.model("decoder", inputs | given, outputs)


def _axes(output: ValueInfoProto) -> Axes:
    """Those of an output of the encoder, as an input of the decoder: its states are those of several hypotheses."""
    tensor = output.type.tensor_type
    sizes = tuple(size.dim_param or size.dim_value for size in tensor.shape.dim)
    return Axes(tensor.elem_type, (sizes[0], "hypotheses", *sizes[2:]) if output.name.startswith("state_") else sizes)
