"""The edits of TER, as sacreBLEU counts them, for lines of any length.

TER counts insertions, deletions, substitutions and shifts of blocks (Snover et al. 2006). For each line sacreBLEU tries up to
1,000 shifts and computes an edit distance for each in Python. That takes ten seconds for a line of 200 words, and minutes for a
document. Here NumPy computes the distances of all shifts of a search together, in the same band around the diagonal. The rest
is sacreBLEU's. The numbers are equal: tests compare both on random lines.
"""

import math
from collections.abc import Iterator, Sequence

import numpy as np
import numpy.typing as npt
from sacrebleu.metrics import lib_ter

_NEVER = 2**29
"""The cost outside the band; the sum of two fits into int32."""

_Candidate = tuple[int, int, int, list[str]]
"""Length of a block, minus its start, minus its target, and the words after the shift: sacreBLEU's order among equal gains."""


def translation_edits(hyp: list[str], ref: list[str]) -> tuple[int, int]:
    """The edits that turn a hypothesis into a reference, shifts included, and the reference's length.

    Args:
        hyp: its words.
        ref: its words.
    """
    if not ref:
        return len(hyp), 0
    distance = lib_ter.BeamEditDistance(ref)
    ids = {word: k for k, word in enumerate(dict.fromkeys(ref))}
    ref_r = np.array([ids[word] for word in ref], np.int32)
    words, shifts, checked = hyp, 0, 0
    while True:
        before, trace = distance(words)
        found = _candidates(words, ref, trace, checked)
        checked += len(found)
        # sacreBLEU drops the best shift of a search that reaches the limit.
        if not found or checked >= lib_ter._MAX_SHIFT_CANDIDATES:
            return shifts + before, len(ref)
        hyps_ch = np.array([[ids.get(word, -1) for word in shifted] for *_, shifted in found], np.int32)
        gains = (before - _distances(hyps_ch, ref_r)).tolist()
        gain, (*_, shifted) = max(zip(gains, found, strict=True))
        if gain <= 0:
            return shifts + before, len(ref)
        words, shifts = shifted, shifts + 1


def _candidates(words: list[str], ref: Sequence[str], trace: str, checked: int) -> list[_Candidate]:
    """Shifts to try, as `lib_ter._shift` takes them; `checked` were tried before."""
    align, ref_errors, hyp_errors = lib_ter.trace_to_alignment(lib_ter._flip_trace(trace))
    found: list[_Candidate] = []
    for start, target, length in _equal_blocks(words, ref):
        wrong = any(hyp_errors[start : start + length]) and any(ref_errors[target : target + length])
        if not wrong or start <= align[target] < start + length:
            continue
        last = -1
        for offset in range(-1, length):
            if target + offset == -1:
                place = 0
            elif target + offset in align:
                place = align[target + offset] + 1
            else:
                break
            if place != last:
                last = place
                found.append((length, -start, -place, lib_ter._perform_shift(words, start, length, place)))
        if checked + len(found) >= lib_ter._MAX_SHIFT_CANDIDATES:
            break
    return found


def _equal_blocks(words: Sequence[str], ref: Sequence[str]) -> Iterator[tuple[int, int, int]]:
    """Blocks of equal words in the order of `lib_ter._find_shifted_pairs`: starts in hypothesis and reference, length."""
    most, far = lib_ter._MAX_SHIFT_SIZE, lib_ter._MAX_SHIFT_DIST
    for start in range(len(words)):
        for target in range(max(0, start - far), min(len(ref), start + far + 1)):
            length = 0
            longest = min(most, len(words) - start, len(ref) - target)
            while length < longest and words[start + length] == ref[target + length]:
                length += 1
                yield start, target, length


def _distances(hyps_ch: npt.NDArray[np.int32], ref_r: npt.NDArray[np.int32]) -> npt.NDArray[np.int32]:
    """Edit distances between c hypotheses of equal length and a reference, in the band of `lib_ter.BeamEditDistance`.

    Args:
        hyps_ch: ids of words, a row each.
        ref_r: ids of words.
    """
    (count, length), size = hyps_ch.shape, len(ref_r)
    ratio = size / length
    width = lib_ter._BEAM_WIDTH
    if width < ratio / 2:
        width = math.ceil(ratio / 2 + width)
    low, row_cj = 0, np.tile(np.arange(size + 1, dtype=np.int32), (count, 1))
    for i in range(1, length + 1):
        diagonal = math.floor(i * ratio)
        first, end = max(0, diagonal - width), min(size + 1, diagonal + width)
        if i == length:
            end = size + 1
        # The row before, from the column left of the band on.
        above_cj = np.full((count, end - first + 1), _NEVER, np.int32)
        start, stop = max(low, first - 1), min(low + row_cj.shape[1], end)
        if start < stop:
            above_cj[:, start - first + 1 : stop - first + 1] = row_cj[:, start - low : stop - low]
        best_cj = above_cj[:, 1:] + 1
        skip = int(first == 0)  # Nothing can be substituted left of the first word.
        other_cj = hyps_ch[:, i - 1, None] != ref_r[None, first + skip - 1 : end - 1]
        np.minimum(best_cj[:, skip:], above_cj[:, skip:-1] + other_cj, out=best_cj[:, skip:])
        # Insertions: each cell is at most one more than its left neighbour.
        columns_j = np.arange(end - first, dtype=np.int32)
        low, row_cj = first, np.minimum.accumulate(best_cj - columns_j, axis=1) + columns_j
    return row_cj[:, -1]
