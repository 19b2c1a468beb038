// Beam search over a step of the decoder: what `_Search` of `wordseq/export/translate.py` does in Python.

export const [PAD, UNK, BOS, EOS] = [0, 1, 2, 3];
const IMPOSSIBLE = -100; // The log-probability of an end of probability 0, where a sentence must end.

/**
 * The best outputs of each sentence, best first: `{ids, places, logProb, score}`, where `places` has for each <unk> a place in
 * the source. There may be fewer than `beam`.
 *
 * @param decoder: from inputs to outputs by name; see the README of `wordseq export --format onnx`.
 * @param given: the outputs of the encoder, as `{type, dims, data}` by name.
 * @param limits: most tokens of each output, with its end.
 * @param beam: hypotheses per sentence; 1: greedy search.
 * @param settings: `size` of the vocabulary, `lengthPenalty` (alpha of Wu et al. 2016, equation 14), and `allowed`: for each
 *   sentence the places of words that may replace <unk>, or null.
 */
export async function search(decoder, given, limits, beam, { size, lengthPenalty, allowed }) {
  const count = Math.min(2 * beam, size);
  const names = Object.keys(given);
  let memory = Object.fromEntries(names.filter((name) => !name.startsWith("state_")).map((name) => [name, given[name]]));
  let states = Object.fromEntries(names.filter((name) => name.startsWith("state_")).map((name) => [name, given[name]]));
  // All hypotheses start equal: without -Infinity for all but one, the beam would hold k copies.
  const first = limits.map((limit, row) => ({
    row,
    limit,
    hypotheses: Array.from({ length: beam }, (_, k) => ({ total: k ? -Infinity : 0, last: BOS, history: null })),
    done: [],
    finished: 0,
    isOpen: true,
  }));
  states = rearranged(states, first.map(() => Array(beam).fill(0)));
  let open = first;
  for (let t = 0; open.length; t++) {
    const lastIds = Int32Array.from(open.flatMap((one) => one.hypotheses.map((hypothesis) => hypothesis.last)));
    const step = await decoder({
      last_ids: { type: "int32", dims: [open.length, beam], data: lastIds },
      count: { type: "int64", dims: [1], data: BigInt64Array.of(BigInt(count)) },
      ...memory,
      ...states,
    });
    const parents = open.map((one, place) => advance(one, place, t, step, { beam, count, lengthPenalty, allowed }));
    const next = Object.fromEntries(Object.keys(states).map((name) => [name, step[`next_${name}`]]));
    states = beam === 1 ? next : rearranged(next, parents);
    const stays = open.flatMap((one, place) => (one.isOpen ? [place] : []));
    // Finished sentences leave the batch when they are a quarter of it.
    if (4 * stays.length <= 3 * open.length) {
      open = stays.map((place) => open[place]);
      [memory, states] = [memory, states].map((tensors) => taken(tensors, stays));
    }
  }
  return first.map((one) => one.done.map(({ total, score, history }) => ({ ...path(history), logProb: total, score })));
}

/** Take one step of a sentence; returns for each new hypothesis the old one that it continues. */
function advance(one, place, t, step, { beam, count, lengthPenalty, allowed }) {
  const ending = t >= one.limit - 1;
  const found = [];
  one.hypotheses.forEach((hypothesis, k) => {
    const row = place * beam + k;
    for (let n = 0; n < count; n++) {
      let [gained, token] = [step.log_probs.data[row * count + n], Number(step.ids.data[row * count + n])];
      if (ending) {
        // At the limit only the end may come.
        const end = step.end_log_probs.data[row];
        [gained, token] = n ? [-Infinity, token] : [end === -Infinity ? IMPOSSIBLE : end, EOS];
      }
      found.push({ parent: k, token, total: Math.fround(hypothesis.total + gained) });
    }
  });
  // 2 k: each hypothesis has one continuation by the end, so at least k others are left.
  const best = largest(found, "total").slice(0, 2 * beam);
  for (const continued of best) {
    const { parent, token } = continued;
    const from = allowed && token === UNK ? strongest(step.weights, place * beam + parent, allowed[one.row]) : 0;
    continued.history = { token, place: from, before: one.hypotheses[parent].history };
  }
  // Only among the first k: a worse continuation would not have stayed in the beam either.
  const ends = best.slice(0, beam).filter(({ token, total }) => token === EOS && one.isOpen && total > -Infinity);
  const penalty = Math.fround(Math.fround((6 + t) / 6) ** Math.fround(lengthPenalty));
  const ended = ends.map((each) => ({ ...each, score: Math.fround(each.total / penalty) }));
  if (ended.length) one.done = largest([...one.done, ...ended], "score").slice(0, beam);
  const kept = largest(
    best.map((each) => (each.token === EOS ? { ...each, total: -Infinity } : each)),
    "total",
  ).slice(0, beam);
  one.hypotheses = kept.map(({ total, token, history }) => ({ total, last: token, history }));
  one.finished += ended.length;
  one.isOpen &&= one.finished < beam && t + 1 < one.limit && kept[0].total > -Infinity;
  return kept.map((each) => each.parent);
}

/** Items in descending order of a value; equal ones keep their order. */
function largest(items, by) {
  return [...items].sort((a, b) => (a[by] === b[by] ? 0 : b[by] - a[by]));
}

/** The allowed place with the highest attention weight, of equal ones the first. */
function strongest(weights, row, allowed) {
  const length = weights.dims.at(-1);
  let best = 0;
  let most = -1;
  for (let place = 0; place < length; place++) {
    const weight = allowed.has(place) ? weights.data[row * length + place] : -1;
    if (weight > most) [best, most] = [place, weight];
  }
  return best;
}

/** Ids of a history without the end, and their places. */
function path(history) {
  const [ids, places] = [[], []];
  for (let node = history; node; node = node.before) {
    if (node.token === PAD || node.token === EOS) continue;
    ids.push(node.token);
    places.push(node.place);
  }
  return { ids: ids.reverse(), places: places.reverse() };
}

// --- tensors `{type, dims, data}`

/** Of tensors `[b, k, ...]` for each sentence the hypotheses at `parents`. */
function rearranged(tensors, parents) {
  return mapped(tensors, ({ type, dims, data }) => {
    const size = dims.slice(2).reduce((a, b) => a * b, 1);
    const rows = parents.flatMap((places, sentence) => places.map((place) => sentence * dims[1] + place));
    return { type, dims: [parents.length, parents[0].length, ...dims.slice(2)], data: gathered(data, size, rows) };
  });
}

/** Of tensors `[b, ...]` some rows. */
function taken(tensors, rows) {
  return mapped(tensors, ({ type, dims, data }) => {
    const size = dims.slice(1).reduce((a, b) => a * b, 1);
    return { type, dims: [rows.length, ...dims.slice(1)], data: gathered(data, size, rows) };
  });
}

function mapped(tensors, change) {
  return Object.fromEntries(Object.entries(tensors).map(([name, tensor]) => [name, change(tensor)]));
}

function gathered(data, size, rows) {
  const found = new data.constructor(rows.length * size);
  rows.forEach((row, k) => found.set(data.subarray(row * size, (row + 1) * size), k * size));
  return found;
}
