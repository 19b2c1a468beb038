"""wordseq itself, with the classes behind `wordseq train` and `wordseq translate`."""

from collections.abc import Mapping
from functools import cached_property
from pathlib import Path
from types import MappingProxyType
from typing import Any

import tensorflow as tf

from wordseq.batches.batching import make_batch
from wordseq.batches.id_store import IdStore
from wordseq.benchmark.worker import BatchPlan, TaskArrays, serve_system, split
from wordseq.config.data import DataConfig
from wordseq.config.schema import Config, DecodeConfig, ModelConfig, TrainConfig
from wordseq.decoding.translator import Translator
from wordseq.models.seq2seq import Seq2Seq
from wordseq.runs.folder import RunFolder
from wordseq.system.tensorflow import import_tensorflow
from wordseq.text.tokenizers import WordTokenizer
from wordseq.text.vocab import EOS_ID, SPECIALS, TextCodec, Vocab
from wordseq.training.step import Trainer

import_tensorflow()  # Sets the threads as the commands do, so it comes before the first operation.


class Ours:
    """Training of a new model; decoding with a trained run, or with a new model to fixed output lengths.

    Decoding uses the precision of training, like `wordseq translate --precision`.
    """

    versions = MappingProxyType({"tensorflow": tf.__version__})

    def __init__(self, arrays: TaskArrays, options: Mapping[str, Any]) -> None:
        self.arrays, self.options = arrays, options
        self.src, self.tgt = (IdStore(arrays[f"{side}.flat"], arrays[f"{side}.offsets"]) for side in ("src", "tgt"))

    def train(self, plan: BatchPlan) -> None:
        """See `worker.System`."""
        for rows in plan:
            batch = make_batch(self.src, self.tgt, rows)
            for figure in self._trainer.update(batch.src_ids_bs, batch.tgt_ids_bt):
                float(figure)

    def translate(self, count: int, beam_size: int, batch_size: int, first: int = 0) -> tuple[int, int]:
        """See `worker.System`."""
        translator, texts, decode = self._decoding
        settings = DecodeConfig(**{**decode, "beam_size": beam_size, "batch_size": batch_size})
        found = translator.translate(texts[first : first + count], settings)
        return len(found), sum(hypotheses[0].tokens for hypotheses in found)

    @cached_property
    def _trainer(self) -> Trainer:
        precision = self.options["precision"]
        return Trainer(self._model(precision), TrainConfig(precision=precision, batch_size=self.options["batch_size"]))

    @cached_property
    def _decoding(self) -> tuple[Translator, list[str], dict[str, Any]]:
        """The translator, its texts, and its decode settings."""
        precision = self.options["precision"]
        if self.options["run"]:
            run = RunFolder.open(Path(self.options["run"]))
            return Translator.load(run.folder, precision=precision), run.held_out("test").sources, {}
        src, tgt = (_numbered_words(self.options[size]) for size in ("src_size", "tgt_size"))
        config = Config(data=DataConfig(pretokenized=True))
        translator = Translator(endless(self._model(precision)), src, tgt, config, self.options["tgt_per_src"])
        texts = [" ".join(f"w{index}" for index in ids) for ids in split(self.arrays, "sentences")]
        # With these settings the limits equal `BenchTask.limits`.
        return translator, texts, {"max_len_ratio": 1.0, "max_len_extra": 1}

    def _model(self, precision: str) -> Seq2Seq:
        options = self.options
        return Seq2Seq(
            ModelConfig(**options["model"]), options["src_size"], options["tgt_size"], precision=precision, seed=1
        )


def endless(model: Seq2Seq) -> Seq2Seq:
    """Makes the model choose EOS only at the length limit, and returns it."""
    bias_v = model.output_layer.bias.numpy()
    bias_v[EOS_ID] = -1e9
    model.output_layer.bias.assign(bias_v)
    return model


def _numbered_words(size: int) -> TextCodec:
    return TextCodec(WordTokenizer(" "), Vocab(f"w{index}" for index in range(len(SPECIALS), size)))


def main(options: Mapping[str, Any]) -> None:
    """Serve requests until standard input ends."""
    serve_system(Ours, options)
