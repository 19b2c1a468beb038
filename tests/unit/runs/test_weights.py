from types import SimpleNamespace

import numpy as np
import pytest

from wordseq.config.data import DataConfig
from wordseq.config.schema import CELLS, Config, ModelConfig
from wordseq.models.seq2seq import Seq2Seq
from wordseq.runs import weights
from wordseq.runs.checkpoint import sha256_of
from wordseq.runs.folder import BEST, RunFolder
from wordseq.runs.weights import arrays_of, assign, by_path, load_model
from wordseq.system.errors import UserError
from wordseq.text.tokenizers import WordTokenizer
from wordseq.text.vocab import TextCodec, Vocab

STATE = {"step": 12}
CODEC = TextCodec(WordTokenizer(), Vocab(["a", "b"]))
CONFIG = Config(model=ModelConfig(embed_dim=4, hidden_size=6))


@pytest.fixture
def run(tmp_path):
    run = RunFolder(tmp_path / "run")
    run.begin(CONFIG, CODEC, CODEC, {})
    return run


def test_a_run_with_settings_for_more_weights_than_it_has_is_refused_before_memory_is_taken(run, monkeypatch):
    monkeypatch.setattr(weights, "model_for", None)
    run.save(BEST, {"kernel": np.zeros(50)}, STATE)
    with pytest.raises(UserError, match=r"best\.safetensors: has 50 weights, but the settings .* need at least "):
        load_model(run)


# Each cell once, with either attention in turn.
@pytest.mark.parametrize(("cell", "attention"), list(zip(CELLS, ("none", "general") * len(CELLS), strict=False)))
def test_no_complete_run_is_refused_for_too_few_weights(tmp_path, cell, attention):
    # The smallest embedding, so that square matrices count.
    settings = {"cell": cell, "attention": attention, "embed_dim": 1, "hidden_size": 64, "decoder_layers": 2}
    config = Config(model=ModelConfig(**settings))
    run = RunFolder(tmp_path)
    run.begin(config, CODEC, CODEC, {})
    model = Seq2Seq(config.model, len(CODEC.vocab), len(CODEC.vocab))
    run.save(BEST, arrays_of(by_path(model.weights)), STATE)
    assert load_model(run)[1] == STATE


@pytest.mark.parametrize("tie", [False, True])
@pytest.mark.parametrize("share", [False, True])
def test_no_run_with_fewer_matrices_is_refused_for_too_few_weights(tmp_path, tie, share):
    # So many tokens that embeddings count.
    codec = TextCodec(WordTokenizer(), Vocab(map(str, range(2000))))
    sizes = {"embed_dim": 4, "hidden_size": 4, "attention": "none"}
    model = ModelConfig(**sizes, tie_embeddings=tie, share_embeddings=share)
    config = Config(data=DataConfig(share_vocab=share), model=model)
    run = RunFolder(tmp_path)
    run.begin(config, codec, codec, {})
    model = Seq2Seq(config.model, len(codec.vocab), len(codec.vocab))
    run.save(BEST, arrays_of(by_path(model.weights)), STATE)
    assert load_model(run)[1] == STATE


def test_assign_refuses_what_is_missing_or_of_another_shape(tmp_path):
    variable = SimpleNamespace(path="x/kernel", shape=(2, 3), assign=lambda value: None)
    for arrays, got in (({}, "nothing"), ({"x/kernel": np.zeros((3, 2))}, r"shape \(3, 2\)")):
        with pytest.raises(UserError, match=rf"best\.safetensors: x/kernel must have shape \(2, 3\), got {got}"):
            assign(by_path([variable]), arrays, tmp_path / "best.safetensors")


def test_the_model_is_that_of_the_checkpoint_after_other_models_were_made(run):
    model = Seq2Seq(CONFIG.model, 6, 6, seed=5)
    run.save(BEST, arrays_of(by_path(model.weights)), STATE)
    loaded, state = load_model(run)
    assert state == STATE
    assert sha256_of(arrays_of(by_path(loaded.weights))) == sha256_of(arrays_of(by_path(model.weights)))
