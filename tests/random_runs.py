"""Runs with random weights, for tests of what is exported."""

import dataclasses

import numpy as np

from tests.fake_runs import decided
from tests.reference.corpus import train_codec
from tests.runs import some_pairs
from wordseq.config.load import load_config
from wordseq.data.splits import HELD_OUT_FILE, HeldOut
from wordseq.models.build import model_for
from wordseq.runs.folder import BEST, DATA_FILE, RunFolder
from wordseq.runs.weights import arrays_of, by_path
from wordseq.text.vocab import EOS_ID, UNK_ID

PAIRS = some_pairs()[:120]


def random_run(folder, *sets) -> RunFolder:
    """A run with weights so large that its outputs differ from sentence to sentence."""
    config = decided(
        load_config(
            None,
            [
                *("data.min_freq=3", "data.rare_words=unk", "data.subword_size=400", "train.precision=float32"),
                *("model.embed_dim=6", "model.hidden_size=8", "decode.max_len_ratio=0", "decode.max_len_extra=7"),
                *sets,
            ],
        )
    )
    sources = [f"{pair.src}\tV;{len(pair.src)}" if config.data.feature_separator else pair.src for pair in PAIRS]
    src, tgt = train_codec(sources, config.data, "src"), train_codec([pair.tgt for pair in PAIRS], config.data, "tgt")
    model = model_for(config, src, tgt, precision="float32")
    rng = np.random.default_rng(8)
    arrays = {
        name: rng.normal(size=array.shape, scale=0.9) for name, array in arrays_of(by_path(model.weights)).items()
    }
    arrays["seq2seq/output/bias"][[UNK_ID, EOS_ID]] += 2, -3
    run = RunFolder(folder)
    held_out = {"test": dataclasses.asdict(HeldOut(sources[:3], [[pair.tgt] for pair in PAIRS[:3]]))}
    run.begin(config, src, tgt, {DATA_FILE: {"tgt_per_src": 1.2}, HELD_OUT_FILE: held_out})
    run.save(BEST, {name: array.astype(np.float32) for name, array in arrays.items()}, {})
    return run
