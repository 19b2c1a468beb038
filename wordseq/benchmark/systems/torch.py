"""The reference model in PyTorch, written for speed: everything that PyTorch can batch is batched.

Runs in any interpreter with torch and NumPy. From wordseq it needs only `benchmark.worker`; the texts are already ids.
"""

from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Any

import numpy as np
import torch
from torch import nn
from torch.nn.functional import cross_entropy
from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence, pad_sequence

from wordseq.benchmark.worker import BatchPlan, TaskArrays, serve_system, split

# As in `text.vocab`, which this interpreter may be unable to import.
_PAD_ID, _BOS_ID, _EOS_ID = 0, 2, 3

_LAYERS = {"lstm": nn.LSTM, "gru": nn.GRU, "rnn": nn.RNN}


class Network(nn.Module):
    """Embedding, packed bidirectional encoder, decoder, Luong's "general" attention, combination layer, logits."""

    def __init__(self, options: Mapping[str, Any]) -> None:
        super().__init__()
        model = options["model"]
        embed, units, layer = model["embed_dim"], model["hidden_size"], _LAYERS[model["cell"]]
        self.src_embed = nn.Embedding(options["src_size"], embed)
        self.tgt_embed = nn.Embedding(options["tgt_size"], embed)
        self.encoder = layer(embed, units // 2, batch_first=True, bidirectional=True)
        self.decoder = layer(embed, units, batch_first=True)
        self.keys = nn.Linear(units, units, bias=False)
        self.combine = nn.Linear(2 * units, units)
        self.logits = nn.Linear(units, options["tgt_size"])
        self.dropout = nn.Dropout(model["dropout"])

    def encode(self, src_ids_bs: torch.Tensor) -> tuple[Any, Any]:
        """Memory, keys and mask for attention, and the decoder's first state."""
        mask_bs = src_ids_bs != _PAD_ID
        vectors_bse = self.dropout(self.src_embed(src_ids_bs))
        # Packed sequences skip padding, and make the backward direction start at the last real token.
        packed = pack_padded_sequence(vectors_bse, mask_bs.sum(1), batch_first=True, enforce_sorted=False)
        outputs, state = self.encoder(packed)
        memory_bsh, _ = pad_packed_sequence(outputs, batch_first=True)
        return (memory_bsh, self.keys(memory_bsh), mask_bs), _joined(state)

    def decode(self, tgt_ids_bt: torch.Tensor, seen: Any, state: Any) -> tuple[torch.Tensor, Any]:
        """Logits `[b, t, v]` of the next tokens, and the state after the last."""
        memory_bsh, keys_bsh, mask_bs = seen
        hidden_bth, state = self.decoder(self.dropout(self.tgt_embed(tgt_ids_bt)), state)
        scores_bts = torch.bmm(hidden_bth, keys_bsh.transpose(1, 2)).float()
        weights_bts = scores_bts.masked_fill(~mask_bs[:, None], float("-inf")).softmax(-1)
        context_bth = torch.bmm(weights_bts.to(memory_bsh.dtype), memory_bsh)
        attended_bth = torch.tanh(self.combine(torch.cat([hidden_bth, context_bth], -1)))
        return self.logits(self.dropout(attended_bth)), state


class Peer:
    """Training and greedy decoding; bfloat16 products by autocast."""

    versions = MappingProxyType({"torch": torch.__version__})

    def __init__(self, arrays: TaskArrays, options: Mapping[str, Any]) -> None:
        if options["threads"]:
            torch.set_num_threads(options["threads"])
        torch.manual_seed(1)
        self.src, self.tgt, self.sentences = (split(arrays, name) for name in ("src", "tgt", "sentences"))
        self.limits = arrays["limits"]
        self.network = Network(options)
        self.optimizer = torch.optim.Adam(self.network.parameters(), lr=1e-3)
        self.bfloat16 = options["precision"] == "bfloat16"

    def train(self, plan: BatchPlan) -> None:
        """See `worker.System`."""
        self.network.train()
        for rows in plan:
            tgt_ids_bt = _padded([self.tgt[row] for row in rows], [_BOS_ID])
            with self._autocast():
                seen, state = self.network.encode(_padded([self.src[row] for row in rows]))
                logits_btv, _ = self.network.decode(tgt_ids_bt[:, :-1], seen, state)
            loss = cross_entropy(logits_btv.float().flatten(0, 1), tgt_ids_bt[:, 1:].flatten(), ignore_index=_PAD_ID)
            self.optimizer.zero_grad()
            loss.backward()
            nn.utils.clip_grad_norm_(self.network.parameters(), 1.0)
            self.optimizer.step()
            loss.item()

    def translate(self, count: int, beam_size: int, batch_size: int, first: int = 0) -> tuple[int, int]:
        """See `worker.System`; greedy only, and each output is as long as its limit.

        Raises:
            ValueError: `beam_size` is not 1.
        """
        if beam_size != 1:
            raise ValueError(f"beam_size must be 1, got {beam_size}")
        self.network.eval()
        last = min(first + count, len(self.sentences))
        order = sorted(range(first, last), key=lambda row: len(self.sentences[row]))
        tokens = 0
        for start in range(0, len(order), batch_size):
            rows = order[start : start + batch_size]
            tokens += sum(map(len, self._greedy([self.sentences[row] for row in rows], self.limits[rows])))
        return len(order), tokens

    @torch.inference_mode()
    def _greedy(self, sentences: Sequence[np.ndarray], limits: np.ndarray) -> list[list[int]]:
        """Output ids of each sentence, without EOS; EOS comes at the limit, never before."""
        last_step_b = torch.from_numpy(limits.astype(np.int64)) - 1
        last_b, chosen = torch.full([len(sentences)], _BOS_ID), []
        open_b = torch.ones(len(sentences), dtype=torch.bool)
        with self._autocast():
            seen, state = self.network.encode(_padded(sentences))
            step = 0
            while open_b.any():
                logits_b1v, state = self.network.decode(last_b[:, None], seen, state)
                logits_bv = logits_b1v[:, 0]
                logits_bv[:, [_PAD_ID, _BOS_ID, _EOS_ID]] = float("-inf")
                last_b = logits_bv.argmax(-1).masked_fill_(last_step_b == step, _EOS_ID)
                chosen.append(last_b.masked_fill(~open_b, _PAD_ID))
                open_b &= last_b != _EOS_ID
                step += 1
        return [[index for index in ids if index not in (_PAD_ID, _EOS_ID)] for ids in torch.stack(chosen, 1).tolist()]

    def _autocast(self) -> Any:
        return torch.autocast("cpu", torch.bfloat16, enabled=self.bfloat16)


def _joined(state: Any) -> Any:
    """The last states of both directions, concatenated to the state of one layer."""
    if isinstance(state, tuple):
        return tuple(map(_joined, state))
    return torch.cat([state[0], state[1]], -1)[None]


def _padded(sentences: Sequence[np.ndarray], start: Sequence[int] = ()) -> torch.Tensor:
    """One row per sentence, with EOS, padded to the longest."""
    rows = [torch.from_numpy(np.concatenate([start, ids, [_EOS_ID]]).astype(np.int64)) for ids in sentences]
    return pad_sequence(rows, batch_first=True, padding_value=_PAD_ID)


def main(options: Mapping[str, Any]) -> None:
    """Serve requests until standard input ends."""
    serve_system(Peer, options)
