// Cuts text into subwords as SentencePiece does, whose models the exported pieces and scores are from: characters, byte-pair
// encoding (Sennrich et al. 2016) and unigram models (Kudo 2018), with bytes for characters that have no piece.

const UNKNOWN_PENALTY = 10; // kUnkPenalty of SentencePiece.

const encoder = new TextEncoder();

/**
 * A function from a text to its pieces.
 *
 * @param level: "char", "bpe" or "unigram".
 * @param scores: of all pieces but bytes and special ones.
 */
export function pieceEncoder(level, scores) {
  const cut = { char: (chars) => chars, bpe: byMerges(scores), unigram: byProbability(scores) }[level];
  if (!cut) throw new Error(`unknown level ${level}`);
  return (text) => cut([...text.replaceAll(" ", "\u2581")]).flatMap((piece) => (scores.has(piece) ? [piece] : bytes(piece)));
}

function bytes(piece) {
  return Array.from(encoder.encode(piece), byteToken);
}

/** The token of a byte. */
export function byteToken(byte) {
  return `<0x${byte.toString(16).toUpperCase().padStart(2, "0")}>`;
}

/** Byte-pair encoding: the pair with the best score is merged, of equal ones the first, until no pair is a piece. */
function byMerges(scores) {
  return (chars) => {
    const symbols = chars.map((text, k) => ({ text, before: k - 1, after: k + 1 < chars.length ? k + 1 : -1 }));
    const queue = new Queue((a, b) => a.score - b.score || b.left - a.left);
    const offer = (left, right) => {
      if (left < 0 || right < 0) return;
      const text = symbols[left].text + symbols[right].text;
      if (scores.has(text)) queue.push({ left, right, text, score: scores.get(text) });
    };
    for (let k = 1; k < symbols.length; k++) offer(k - 1, k);
    for (let best = queue.pop(); best; best = queue.pop()) {
      const [left, right] = [symbols[best.left], symbols[best.right]];
      // One of them was merged with another since.
      if (!left.text || !right.text || left.text + right.text !== best.text) continue;
      left.text = best.text;
      left.after = right.after;
      if (right.after >= 0) symbols[right.after].before = best.left;
      right.text = "";
      offer(left.before, best.left);
      offer(best.left, left.after);
    }
    return symbols.map((symbol) => symbol.text).filter(Boolean);
  };
}

/** A unigram model: the most probable pieces. Sums are of 32 bits, as there. */
function byProbability(scores) {
  const tree = new Map();
  let lowest = Infinity;
  for (const [piece, score] of scores) {
    let node = tree;
    for (const char of piece) {
      if (!node.has(char)) node.set(char, new Map());
      node = node.get(char);
    }
    node.score = score;
    lowest = Math.min(lowest, score);
  }
  const unknown = Math.fround(lowest - UNKNOWN_PENALTY);
  return (chars) => {
    const best = new Float32Array(chars.length + 1);
    const starts = new Int32Array(chars.length + 1).fill(-1);
    const offer = (start, end, score) => {
      const sum = Math.fround(best[start] + score);
      if (starts[end] < 0 || sum > best[end]) [best[end], starts[end]] = [sum, start];
    };
    for (let start = 0; start < chars.length; start++) {
      let single = false;
      let node = tree;
      for (let end = start + 1; end <= chars.length; end++) {
        node = node.get(chars[end - 1]);
        if (!node) break;
        if (node.score === undefined) continue;
        offer(start, end, node.score);
        single ||= end === start + 1;
      }
      if (!single) offer(start, start + 1, unknown);
    }
    const found = [];
    for (let end = chars.length; end > 0; end = starts[end]) found.push(chars.slice(starts[end], end).join(""));
    return found.reverse();
  };
}

/** A binary heap: the largest first. */
class Queue {
  constructor(compare) {
    [this.compare, this.items] = [compare, []];
  }

  push(item) {
    const { items } = this;
    let k = items.length;
    for (let up = (k - 1) >> 1; k > 0 && this.compare(item, items[up]) > 0; up = (k - 1) >> 1) {
      items[k] = items[up];
      k = up;
    }
    items[k] = item;
  }

  pop() {
    const { items } = this;
    const [first, last] = [items[0], items.pop()];
    if (!items.length) return first;
    let k = 0;
    for (let down = 1; down < items.length; down = 2 * k + 1) {
      if (down + 1 < items.length && this.compare(items[down + 1], items[down]) > 0) down++;
      if (this.compare(last, items[down]) >= 0) break;
      items[k] = items[down];
      k = down;
    }
    items[k] = last;
    return first;
  }
}
