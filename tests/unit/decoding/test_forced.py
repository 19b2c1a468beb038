import numpy as np
import pytest
import tensorflow as tf

from tests.closeness import close
from tests.unit.models.test_seq2seq import SRC, SRC_SIZE, TGT, fixed_model, make_model
from wordseq.batches.batching import pad
from wordseq.batches.id_store import IdStore
from wordseq.decoding.forced import Scorer
from wordseq.decoding.search import beam_search, decode_one
from wordseq.models.attention import ATTENTIONS
from wordseq.models.cells import CELL_TYPES
from wordseq.text.vocab import EOS_ID

SOURCES = [*SRC, [10, 9, 7, 5]]
LIMITS = [2, 4, 3, 1]


def _search(model, beam_size: int):
    """With a beam of this size; greedily for 0."""
    memory, states = model.encode(tf.constant(pad(SOURCES)))
    states = tf.nest.map_structure(lambda part: part[:, None], states)

    def step(last_ids_bk, state, memory):
        return model.decoder_step(last_ids_bk, memory, state)

    if beam_size == 0:
        return decode_one(step, states, tf.constant(LIMITS), memory=memory)
    return beam_search(step, states, tf.constant(LIMITS), beam_size, memory=memory)


def _words(ids_t) -> list[int]:
    """Ids before the end."""
    ids = ids_t.numpy().tolist()
    return ids[: ids.index(EOS_ID)]


CELLS_AND_ATTENTIONS = [
    pytest.param(
        cell,
        list(ATTENTIONS)[(n + 1) % len(ATTENTIONS)],
        beam_size,
        marks=[pytest.mark.slow] * (cell != "lstm" or beam_size == 0),
    )
    for n, cell in enumerate(CELL_TYPES)
    for beam_size in (0, 3)
]


@pytest.mark.parametrize(("cell", "attention", "beam_size"), [*CELLS_AND_ATTENTIONS, ("gru", "none", 0)])
def test_a_translation_costs_what_the_search_found(eager, cell, attention, beam_size):
    assert_nats_are_those_of_the_search(fixed_model(cell=cell, attention=attention, decoder_layers=2), beam_size)


@pytest.mark.parametrize(
    ("settings", "beam_size"), [({"output_map": "sparsemax"}, 3), ({"output_map": "entmax15"}, 0), ({"copy": True}, 3)]
)
def test_a_translation_by_a_sparse_output_or_copying_costs_what_the_search_found(eager, settings, beam_size):
    model = fixed_model(cell="rnn", attention="dot", attention_map="entmax15", **settings)
    assert_nats_are_those_of_the_search(model, beam_size)


def assert_nats_are_those_of_the_search(model, beam_size):
    found = _search(model, beam_size)
    for k in range(beam_size or 1):
        rows = [b for b in range(len(SOURCES)) if np.isfinite(found.scores_bk[b, k])]
        src = IdStore.of([SOURCES[b] for b in rows])
        tgt = IdStore.of([_words(found.ids_bkt[b, k]) for b in rows])
        nats = Scorer(model).nats(src, tgt)
        close(nats, -found.log_probs_bk.numpy()[rows, k])


@pytest.mark.parametrize("settings", [{"output_map": "entmax15"}, {"copy": True}])
def test_a_beam_of_one_is_greedy(eager, settings):
    model = fixed_model(**settings)
    greedy, beam = _search(model, 0), _search(model, 1)
    assert [_words(ids_kt[0]) for ids_kt in beam.ids_bkt] == [_words(ids_kt[0]) for ids_kt in greedy.ids_bkt]
    close(beam.log_probs_bk, greedy.log_probs_bk)


def test_a_batch_costs_what_its_pairs_cost_one_at_a_time():
    # Compiled, as users run it.
    scorer = Scorer(fixed_model(cell="rnn", attention="dot"))
    src, tgt = IdStore.of(SRC), IdStore.of(TGT)
    together = scorer.nats(src, tgt)
    assert (together > 0).all()
    for batch_size in (1, 2):
        close(scorer.nats(src, tgt, batch_size), together)
    order = [2, 0, 1]
    shuffled = scorer.nats(IdStore.of([SRC[b] for b in order]), IdStore.of([TGT[b] for b in order]))
    close(shuffled, together[order])


def test_cost_by_hand(eager):
    model = make_model(cell="gru", attention="dot")
    # The sum over the target's tokens and its end, read off the logits.
    logits_tv = model((tf.constant(pad([SRC[1]])), tf.constant(pad([TGT[1]], bos=True)[:, :-1])))[0]
    expected = -sum(float(tf.nn.log_softmax(row)[i]) for row, i in zip(logits_tv, [*TGT[1], EOS_ID], strict=True))
    assert Scorer(model).nats(IdStore.of([SRC[1]]), IdStore.of([TGT[1]]))[0] == pytest.approx(expected, rel=1e-5)


def test_an_empty_target_costs_its_end(eager):
    nats = Scorer(make_model()).nats(IdStore.of(SRC[:2]), IdStore.of([[], TGT[0]]))
    assert np.isfinite(nats).all()
    assert nats[0] > 0


def test_alignments_have_one_row_per_target_token_and_one_column_per_source_token(eager):
    scorer = Scorer(fixed_model(attention="additive"))
    src, tgt = IdStore.of(SRC), IdStore.of(TGT)
    together = scorer.alignments(src, tgt)
    for row, weights_ts in enumerate(together):
        assert weights_ts.shape == (len(TGT[row]) + 1, len(SRC[row]) + 1)
        close(weights_ts.sum(1), 1)
    for row, weights_ts in enumerate(scorer.alignments(src, tgt, batch_size=1)):
        close(weights_ts, together[row])


def test_without_attention_there_are_no_alignments():
    with pytest.raises(ValueError, match=r"no attention: model\.attention is 'none'"):
        Scorer(make_model(attention="none")).alignments(IdStore.of(SRC), IdStore.of(TGT))


def test_sources_stay_in_the_vocabulary():
    assert max(map(max, SOURCES)) < SRC_SIZE
