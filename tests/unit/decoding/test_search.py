import itertools
import math

import numpy as np
import pytest
import tensorflow as tf
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.closeness import close
from wordseq.decoding.search import Found, beam_search, choose_best, decode_one, length_penalty, make_sampler
from wordseq.models.sparse import IMPOSSIBLE_NATS
from wordseq.text.vocab import BOS_ID, EOS_ID, PAD_ID, UNK_ID

SIZE = 6
"""Tokens: the special ones, A and B."""
A, B = 4, 5
WORDS = (UNK_ID, A, B)
SEEDS = st.integers(0, 2**31 - 1)
LIMITS = st.lists(st.integers(1, 4), min_size=1, max_size=3)
SHARES = st.sampled_from([0.0, 0.3, 0.8])
"""Of the tokens that are impossible."""


class Tree:
    """Hand-made language: a table of log-probabilities for every history of every sentence.

    The state is the number of the history so far, so a state that is handed to the wrong hypothesis gives other scores.
    """

    def __init__(self, log_probs_bnv: np.ndarray) -> None:
        self.log_probs_bnv = log_probs_bnv.astype(np.float32)

    @classmethod
    def draw(cls, seed: int, longest: int, sentences: int = 1, sharpness: float = 2.0) -> "Tree":
        """A random one; PAD and BOS are likely, and must not be chosen all the same."""
        logits = np.random.default_rng(seed).normal(size=(sentences, SIZE**longest, SIZE), scale=sharpness)
        logits[:, :, [PAD_ID, BOS_ID]] += 1
        return cls(logits - np.log(np.exp(logits).sum(-1, keepdims=True)))

    @property
    def state(self):
        number_b1 = tf.zeros([len(self.log_probs_bnv), 1], tf.int32)
        # Parts of other shapes and types go along.
        return {"number": number_b1, "parts": (tf.cast(number_b1, tf.float32)[:, :, None],)}

    @property
    def memory(self):
        return (tf.constant(self.log_probs_bnv),)

    def step(self, last_ids_bk, state, memory):
        # BOS opens history 0; then each token opens one of the next SIZE.
        number_bk = tf.where(last_ids_bk == BOS_ID, 0, state["number"] * SIZE + last_ids_bk)
        number_bk = tf.minimum(number_bk, self.log_probs_bnv.shape[1] - 1)  # Finished ones run on without effect.
        tf.debugging.assert_equal(tf.cast(state["number"], tf.float32), state["parts"][0][:, :, 0])
        return tf.gather(memory[0], number_bk, batch_dims=1), {
            "number": number_bk,
            "parts": (tf.cast(number_bk, tf.float32)[:, :, None],),
        }

    def without(self, seed: int, share: float) -> "Tree":
        """This share of the tokens get probability 0, but one word or the end after each history."""
        random = np.random.default_rng([seed, 1])
        gone_bnv = random.random(self.log_probs_bnv.shape) < share
        kept_bn1 = random.choice([*WORDS, EOS_ID], size=(*gone_bnv.shape[:2], 1))
        np.put_along_axis(gone_bnv, kept_bn1, False, 2)
        return Tree(np.where(gone_bnv, -np.inf, self.log_probs_bnv))

    def of(self, sentence: int) -> "Tree":
        return Tree(self.log_probs_bnv[sentence : sentence + 1])

    def next(self, sentence: int, history) -> np.ndarray:
        """Log-probabilities after a history."""
        number = 0
        for token in history:
            number = number * SIZE + token
        return self.log_probs_bnv[sentence, number]

    def gain(self, sentence: int, history, token: int, limit: int) -> float:
        """Log-probability of a token after a history; of an end that is impossible, at the limit."""
        gain = float(self.next(sentence, history)[token])
        forced = len(history) == limit - 1 and token == EOS_ID and gain == -math.inf
        return -IMPOSSIBLE_NATS if forced else gain

    def total(self, sentence: int, tokens, limit: int = 0) -> float:
        return float(sum(self.gain(sentence, tokens[:t], token, limit) for t, token in enumerate(tokens)))

    def greedy(self, sentence: int, limit: int) -> list[int]:
        tokens: list[int] = []
        while EOS_ID not in tokens:
            allowed = [EOS_ID] if len(tokens) == limit - 1 else [*WORDS, EOS_ID]
            tokens.append(max(allowed, key=lambda token: self.next(sentence, tokens)[token]))
        return tokens

    def beam(self, sentence: int, limit: int, size: int, alpha: float) -> list[tuple[float, list[int]]]:
        """The search of `beam_search`, once more in plain Python: scores and tokens, best first."""
        going, done = [(0.0, [])], []
        for t in range(limit):
            allowed = [EOS_ID] if t == limit - 1 else [*WORDS, EOS_ID]
            grown = [
                (total + self.gain(sentence, tokens, token, limit), [*tokens, token])
                for total, tokens in going
                for token in allowed
                if self.gain(sentence, tokens, token, limit) > -math.inf
            ]
            grown = sorted(grown, key=lambda found: -found[0])[: 2 * size]
            done += [(total / ((6 + t) / 6) ** alpha, tokens) for total, tokens in grown[:size] if tokens[-1] == EOS_ID]
            going = [found for found in grown if found[1][-1] != EOS_ID][:size]
            if len(done) >= size or not going:
                break
        return sorted(done, key=lambda found: -found[0])[:size]


def _by_history(histories: dict[tuple[int, ...], dict[int, float]]) -> Tree:
    """A tree of probabilities; what is not given has probability 1e-9."""
    longest = 1 + max(map(len, histories))
    tree = Tree(np.full((1, SIZE**longest, SIZE), math.log(1e-9)))
    for history, probabilities in histories.items():
        for token, probability in probabilities.items():
            tree.next(0, history)[token] = math.log(probability)
    return tree


def _tokens(ids_t) -> list[int]:
    """The ids up to the end, which must be there, with nothing but padding after it."""
    ids = np.asarray(ids_t).tolist()
    end = ids.index(EOS_ID) + 1
    assert set(ids[end:]) <= {PAD_ID}
    assert not {PAD_ID, BOS_ID} & set(ids[:end])
    return ids[:end]


def _greedy(tree: Tree, limits, choose=choose_best) -> Found:
    return decode_one(tree.step, tree.state, tf.convert_to_tensor(limits), choose, tree.memory)


def _beam(tree: Tree, limits, size: int, alpha: float = 1.0) -> Found:
    return beam_search(tree.step, tree.state, tf.convert_to_tensor(limits), size, alpha, tree.memory)


# Greedy


@settings(max_examples=8)
@given(SEEDS, LIMITS, SHARES)
def test_greedy_takes_the_most_probable_token_until_the_end_and_a_draw_a_possible_one(seed, limits, share):
    tree = Tree.draw(seed, 4, len(limits)).without(seed, share)
    greedy = _greedy(tree, limits)
    drawn = _greedy(tree, limits, make_sampler(tf.constant([seed, 0]), temperature=1000.0))
    for b, limit in enumerate(limits):
        assert _tokens(greedy.ids_bkt[b, 0]) == tree.greedy(b, limit)
        for found in (greedy, drawn):
            total = tree.total(b, _tokens(found.ids_bkt[b, 0]), limit)
            assert math.isfinite(total)
            assert float(found.log_probs_bk[b, 0]) == float(found.scores_bk[b, 0]) == pytest.approx(total, rel=1e-5)


def test_at_the_limit_only_the_end_may_be_chosen():
    never_ends = _by_history({(A,) * t: {A: 0.9} for t in range(5)})
    for limit in (1, 2, 4):
        expected = [A] * (limit - 1) + [EOS_ID]
        for found in (_greedy(never_ends, [limit]), _beam(never_ends, [limit], 1)):
            assert _tokens(found.ids_bkt[0, 0]) == expected
            assert float(found.log_probs_bk[0, 0]) == pytest.approx(
                (limit - 1) * math.log(0.9) + math.log(1e-9), rel=1e-5
            )


def test_padding_and_start_are_never_chosen():
    likes_them = Tree(np.log([[[0.5, 0.02, 0.4, 0.01, 0.06, 0.01]] * SIZE**3]))
    assert _tokens(_greedy(likes_them, [3]).ids_bkt[0, 0]) == [A, A, EOS_ID]
    for k, ids_t in enumerate(_beam(likes_them, [3], 4).ids_bkt[0]):
        assert _tokens(ids_t), k
    many = Tree(np.repeat(likes_them.log_probs_bnv, 20, axis=0))
    for k, ids_t in enumerate(_greedy(many, [3] * 20, make_sampler(tf.constant([1, 0]))).ids_bkt[:, 0]):
        assert _tokens(ids_t), k


# Beam


@settings(max_examples=5)
@given(SEEDS, LIMITS, st.sampled_from([0.0, 1.0]), SHARES)
def test_a_beam_of_one_is_greedy(seed, limits, alpha, share):
    tree = Tree.draw(seed, 4, len(limits)).without(seed, share)
    greedy, beam = _greedy(tree, limits), _beam(tree, limits, 1, alpha)
    for b in range(len(limits)):
        assert _tokens(beam.ids_bkt[b, 0]) == _tokens(greedy.ids_bkt[b, 0])
    close(beam.log_probs_bk, greedy.log_probs_bk, 2e-6)


def test_a_beam_of_two_finds_what_greedy_misses():
    # Greedy takes A (0.6), after which nothing is likely: 0.6 x 0.4 x 1 = 0.24. B leads to 0.4 x 0.9 x 1 = 0.36.
    tree = _by_history(
        {
            (): {A: 0.6, B: 0.4},
            (A,): {A: 0.4, B: 0.35, EOS_ID: 0.25},
            (B,): {B: 0.9, EOS_ID: 0.1},
            (A, A): {EOS_ID: 1.0},
            (A, B): {EOS_ID: 1.0},
            (B, B): {EOS_ID: 1.0},
        }
    )
    greedy, beam = _greedy(tree, [4]), _beam(tree, [4], 2, alpha=0.0)
    assert _tokens(greedy.ids_bkt[0, 0]) == [A, A, EOS_ID]
    assert float(greedy.log_probs_bk[0, 0]) == pytest.approx(math.log(0.24))
    assert _tokens(beam.ids_bkt[0, 0]) == [B, B, EOS_ID]
    assert float(beam.log_probs_bk[0, 0]) == pytest.approx(math.log(0.36))
    # Two hypotheses stay, from A and B: "B B" (0.36) and "A A" (0.24). Both end next.
    assert _tokens(beam.ids_bkt[0, 1]) == [A, A, EOS_ID]
    np.testing.assert_array_equal(beam.scores_bk, beam.log_probs_bk)


def test_the_length_penalty_can_change_the_order():
    # "A </s>" has 0.3, "B B B </s>" 0.25. Log-probabilities -1.204 and -1.386; penalties 7/6 and 9/6: -1.032 and -0.924.
    tree = _by_history(
        {
            (): {A: 0.5, B: 0.5},
            (A,): {EOS_ID: 0.6},
            (B,): {B: 0.5},
            (B, B): {B: 1.0},
            (B, B, B): {EOS_ID: 1.0},
        }
    )
    short, long = [A, EOS_ID], [B, B, B, EOS_ID]
    without, with_penalty = _beam(tree, [4], 2, 0.0), _beam(tree, [4], 2, 1.0)
    assert [_tokens(ids) for ids in without.ids_bkt[0]] == [short, long]
    assert [_tokens(ids) for ids in with_penalty.ids_bkt[0]] == [long, short]
    close(without.scores_bk[0], [math.log(0.3), math.log(0.25)])
    close(with_penalty.scores_bk[0], [math.log(0.25) / 1.5, math.log(0.3) / (7 / 6)])
    close(with_penalty.log_probs_bk[0], [math.log(0.25), math.log(0.3)])


def test_length_penalty_by_hand():
    close(length_penalty(tf.constant([1, 7, 13]), 1.0), [1, 2, 3])
    close(length_penalty(tf.constant([1, 7, 13]), 0.5), [1, 2**0.5, 3**0.5], 2e-6)
    close(length_penalty(tf.constant([1, 7, 13]), 0.0), [1, 1, 1])


@pytest.mark.parametrize(("limit", "alpha"), [(1, 1.0), (2, 0.0), (3, 1.0), (4, 0.0), (4, 1.0)])
def test_a_beam_as_wide_as_the_tree_finds_every_sentence(limit, alpha):
    sentences = [
        [*words, EOS_ID] for length in range(limit) for words in itertools.product(WORDS, repeat=length)
    ]  # With 40 of up to 4 tokens, nothing is ever cut, and the search stops when all are found.
    tree = Tree.draw(0, 4)
    found = _beam(tree, [limit], 40, alpha)
    scores = {tuple(s): tree.total(0, s) / ((5 + len(s)) / 6) ** alpha for s in sentences}
    best = sorted(scores, key=lambda sentence: -scores[sentence])
    assert [tuple(_tokens(ids)) for ids in found.ids_bkt[0, : len(best)]] == best
    close(found.scores_bk[0, : len(best)], [scores[s] for s in best])
    # There are no more.
    assert np.isneginf(found.scores_bk[0, len(best) :]).all()
    assert np.isneginf(found.log_probs_bk[0, len(best) :]).all()


@settings(max_examples=20)
@given(SEEDS, LIMITS, st.integers(1, 5), st.sampled_from([0.0, 0.6, 1.0]), SHARES)
def test_beam_search_equals_plain_python_and_finds_nothing_impossible(seed, limits, size, alpha, share):
    tree = Tree.draw(seed, 4, len(limits), sharpness=1.0).without(seed, share)
    found = _beam(tree, limits, size, alpha)
    for b, limit in enumerate(limits):
        expected = tree.beam(b, limit, size, alpha)
        real = np.isfinite(found.scores_bk[b])
        assert real.tolist() == [k < len(expected) for k in range(size)], "found ones first"
        hypotheses = [_tokens(ids) for ids in found.ids_bkt[b][real]]
        assert hypotheses == [tokens for _, tokens in expected]
        close(found.scores_bk[b][real], [score for score, _ in expected])
        # The state went with its hypothesis: the score is that of these tokens.
        close(found.log_probs_bk[b][real], [tree.total(b, tokens, limit) for tokens in hypotheses])
        assert len({tuple(tokens) for tokens in hypotheses}) == len(hypotheses) >= 1


def test_a_search_without_possible_continuations_is_over():
    calls = []
    tree = _by_history({(): {A: 1.0}, (A,): {EOS_ID: 1.0}})
    tree.log_probs_bnv[tree.log_probs_bnv < -1] = -np.inf

    def step(last_ids_bk, state, memory):
        calls.append(1)
        return tree.step(last_ids_bk, state, memory)

    found = beam_search(step, tree.state, tf.constant([50]), 3, memory=tree.memory)
    assert _tokens(found.ids_bkt[0, 0]) == [A, EOS_ID]
    np.testing.assert_array_equal(np.isfinite(found.scores_bk), [[True, False, False]])
    assert len(calls) == 2


@settings(max_examples=3)
@given(SEEDS, st.lists(st.integers(1, 4), min_size=2, max_size=3), st.integers(2, 4), st.randoms())
def test_a_sentence_alone_or_with_others_in_any_order_gives_the_same(seed, limits, size, random):
    tree = Tree.draw(seed, 4, len(limits))
    together = [_greedy(tree, limits), _beam(tree, limits, size)]
    order = list(range(len(limits)))
    random.shuffle(order)
    shuffled = Tree(tree.log_probs_bnv[order])
    again = [_greedy(shuffled, [limits[b] for b in order]), _beam(shuffled, [limits[b] for b in order], size)]
    for b, limit in enumerate(limits):
        alone = [_greedy(tree.of(b), [limit]), _beam(tree.of(b), [limit], size)]
        for one, all_, other in zip(alone, together, again, strict=True):
            row = order.index(b)
            close(one.scores_bk[0], all_.scores_bk[b], 2e-6)
            close(other.scores_bk[row], all_.scores_bk[b], 2e-6)
            for k in range(one.ids_bkt.shape[1]):
                if np.isfinite(one.scores_bk[0, k]):
                    assert _tokens(one.ids_bkt[0, k]) == _tokens(all_.ids_bkt[b, k]) == _tokens(other.ids_bkt[row, k])


def test_a_finished_sentence_does_not_change_while_others_are_open():
    # Alone, it is finished with "</s>": log 0.5 = -0.69. "A </s>", still open, would score higher: log 0.45 / (7/6) = -0.68.
    done = _by_history({(): {EOS_ID: 0.5, A: 0.45}, (A,): {EOS_ID: 1.0}, (B, B): {}})
    long = _by_history({(): {B: 1.0}, (B,): {B: 1.0}, (B, B): {EOS_ID: 1.0}})
    # Beside 7 others its row stays in the batch: rows leave only when a quarter of them are finished.
    for others in (0, 1, 7):
        tree = Tree(np.concatenate([done.log_probs_bnv, *[long.log_probs_bnv] * others]))
        found = _beam(tree, [3] * (1 + others), 1)
        assert _tokens(found.ids_bkt[0, 0]) == [EOS_ID]
        assert float(found.scores_bk[0, 0]) == pytest.approx(math.log(0.5), rel=1e-5)
        assert all(_tokens(ids_kt[0]) == [B, B, EOS_ID] for ids_kt in found.ids_bkt[1:])


def test_search_with_a_beam_can_be_compiled():
    """The greedy one is in tests/integration/test_processes.py."""
    tree, limits_b = Tree.draw(3, 4, 2), tf.constant([4, 3])
    compiled = tf.function(_beam, autograph=False)
    for a, b in zip(_beam(tree, limits_b, 3), compiled(tree, limits_b, 3), strict=True):
        close(a, b, 2e-6)


# Sampling

PROBABILITIES = np.array([0, 0.1, 0, 0.2, 0.3, 0.4])
DRAWS = 4000


def _first_tokens(seed=(1, 0), **sampling) -> np.ndarray:
    """Shares of the first tokens in many draws from PROBABILITIES."""
    with np.errstate(divide="ignore"):
        tree = Tree(np.log(np.tile(PROBABILITIES, (DRAWS, SIZE, 1))))
    found = _greedy(tree, [2] * DRAWS, make_sampler(tf.constant(seed), **sampling))
    return np.bincount(found.ids_bkt[:, 0, 0].numpy(), minlength=SIZE) / DRAWS


def _of_the_most_probable(kept: int) -> np.ndarray:
    lowest = np.sort(PROBABILITIES)[-kept]
    return np.where(np.greater_equal(PROBABILITIES, lowest), PROBABILITIES, 0)


def assert_near(shares: np.ndarray, expected: np.ndarray) -> None:
    expected = expected / expected.sum()
    np.testing.assert_array_less(np.abs(shares - expected), 4 * np.sqrt(expected * (1 - expected) / DRAWS) + 1e-9)


def test_draws_are_as_frequent_as_they_are_probable():
    assert_near(_first_tokens(), PROBABILITIES)


@pytest.mark.parametrize("temperature", [0.5, 2.0])
def test_temperature_sharpens_and_flattens(temperature):
    assert_near(_first_tokens(temperature=temperature), PROBABILITIES ** (1 / temperature))


@pytest.mark.parametrize(("top_k", "kept"), [(1, 1), (2, 2), (3, 3), (4, 4), (100, 4)])
def test_top_k_keeps_the_most_probable(top_k, kept):
    assert_near(_first_tokens(top_k=top_k), _of_the_most_probable(kept))


@pytest.mark.parametrize(
    ("top_p", "kept"), [(0.01, 1), (0.39, 1), (0.41, 2), (0.69, 2), (0.71, 3), (0.95, 4), (1.0, 4)]
)
def test_top_p_keeps_the_smallest_set_that_reaches_it(top_p, kept):
    assert_near(_first_tokens(top_p=top_p), _of_the_most_probable(kept))


@pytest.mark.parametrize(
    ("top_k", "top_p", "kept"), [(2, 0.5, 1), (2, 0.6, 2), (3, 0.43, 1), (3, 0.46, 2), (3, 0.8, 3)]
)
def test_top_p_is_a_share_of_what_top_k_keeps(top_k, top_p, kept):
    # Of the 2 most probable, 0.4 and 0.3, the first has 4/7 = 0.57; of 3 the first has 4/9 = 0.44, two have 7/9 = 0.78.
    assert_near(_first_tokens(top_k=top_k, top_p=top_p), _of_the_most_probable(kept))


def test_sampling_from_a_single_token_is_greedy():
    tree = Tree.draw(1, 3, 10)
    greedy = _greedy(tree, [3] * 10)
    for sampling in ({"temperature": 1e-6}, {"top_k": 1}, {"top_p": 1e-6}):
        drawn = _greedy(tree, [3] * 10, make_sampler(tf.constant([2, 0]), **sampling))
        np.testing.assert_array_equal(greedy.ids_bkt, drawn.ids_bkt)


def test_a_draw_is_scored_by_the_model_not_by_the_sampler():
    tree = Tree.draw(0, 4, 20)
    found = _greedy(tree, [4] * 20, make_sampler(tf.constant([1, 1]), temperature=2.0, top_k=2))
    for b in range(20):
        assert float(found.log_probs_bk[b, 0]) == pytest.approx(tree.total(b, _tokens(found.ids_bkt[b, 0])), rel=1e-5)


def test_samples_depend_on_the_seed():
    tree = Tree.draw(0, 2, 50, sharpness=0.1)

    def draw(*seed: int) -> list[list[int]]:
        return _greedy(tree, [2] * 50, make_sampler(tf.constant(seed))).ids_bkt[:, 0].numpy().tolist()

    assert draw(1, 0) == draw(1, 0)
    assert draw(1, 0) != draw(2, 0)
    assert draw(1, 0) != draw(1, 1)


def test_draws_of_different_steps_and_seeds_are_independent():
    log_probs_bv = tf.math.log(tf.constant(np.tile([0.25] * 4, (100, 1)), tf.float32))
    draws = {
        (number, t): make_sampler(tf.constant([1, number]))(log_probs_bv, tf.constant(t)).numpy()
        for number in range(3)
        for t in range(3)
    }
    for one, other in itertools.combinations(draws, 2):
        # A quarter agree by chance; five standard deviations are 22 of a hundred.
        assert (draws[one] == draws[other]).mean() < 0.47, (one, other)
