// Translates lines of text with the model in this folder, on this machine. In a page or a module worker:
//
//     import { Translator } from "./translator.js";
//     const translator = await Translator.load();
//     await translator.translate(["I am cold.", "Where is the station?"]);
//
// A translation does not depend on the lines beside it, and is that of `wordseq translate`.

import * as onnx from "./onnxruntime.js";
import { search, BOS, EOS, PAD, UNK } from "./search.js";
import { normalised, Side } from "./text.js";

const MOST_TOKENS = 50_000; // Of one source.
const BATCH = 64; // Sentences translated at a time.
const MOST_POSITIONS = 2 ** 14; // Source tokens of a batch, with padding.

/** A text that cannot be translated; the message is for the reader. */
export class TextError extends Error {}

/** Translates texts. */
export class Translator {
  /**
   * The model of a folder.
   *
   * @param folder: its address.
   */
  static async load(folder = new URL(".", import.meta.url)) {
    // One thread: several need pages that are cut off from all others (COOP and COEP).
    onnx.env.wasm.numThreads = 1;
    onnx.env.wasm.wasmPaths = { wasm: new URL("onnxruntime.wasm", import.meta.url).href };
    const manifest = await read(folder, "manifest.json", "json");
    const [src, tgt] = await Promise.all(
      ["src", "tgt"].map(async (side) => {
        const { tokens } = await read(folder, `${side}.vocab.json`, "json");
        const scores = manifest[side].pieces ? await read(folder, manifest[side].pieces, "json") : null;
        return new Side(manifest[side], tokens, scores);
      }),
    );
    const names = ["encoder", "decoder"].map((part) => manifest.graphs[part]);
    const graphs = await Promise.all(names.map((name) => read(folder, name, "arrayBuffer")));
    const sessions = [];
    for (const [k, graph] of graphs.entries()) sessions.push(await openGraph(names[k], graph));
    return new Translator(manifest, src, tgt, sessions);
  }

  constructor(manifest, src, tgt, [encoder, decoder]) {
    Object.assign(this, { manifest, src, tgt });
    [this.encode, this.decode] = [encoder, decoder].map((opened) => (inputs) => run(opened, inputs));
    // Sessions run one thing at a time.
    this.queue = Promise.resolve();
  }

  /**
   * The translation of each line.
   *
   * @param lines: texts of one sentence each.
   * @param beam: hypotheses per sentence; 1: greedy search; 0: as the run.
   * @throws TypeError: an argument is of another kind; the message says what to pass.
   * @throws TextError: a line cannot be translated.
   */
  async translate(lines, beam = 0) {
    const found = await this.several(lines, beam);
    return found.map(([best]) => best.text);
  }

  /**
   * The outputs of each line that the search found, best first: `{text, score, logProb, ids, parts}`; `parts` has for each
   * token of the target what is shown of it.
   *
   * @param stopped: asked between two batches; when it returns true, the rest is left out.
   */
  async several(lines, beam = 0, stopped = () => false) {
    checkLines(lines);
    if (!Number.isSafeInteger(beam) || beam < 0)
      throw new TypeError(`beam is ${written(beam)}; pass a whole number, such as 5, or 0 for the beam of the run`);
    const found = this.queue.then(() => this.#several(lines, beam || this.manifest.search.beam_size, stopped));
    this.queue = found.catch(() => null);
    return found;
  }

  async #several(lines, beam, stopped) {
    const prepared = lines.map((line) => this.prepare(line));
    const sources = prepared.map((text) => this.src.toIds(text));
    const found = lines.map(() => [{ text: "", score: 0, logProb: 0, ids: [], parts: [] }]);
    const filled = sources.flatMap((ids, row) => (ids.length && this.src.parted(prepared[row])[0] ? [row] : []));
    filled.sort((a, b) => sources[a].length - sources[b].length);
    while (filled.length && !stopped()) {
      let size = Math.min(BATCH, filled.length);
      while (size > 1 && size * sources[filled[size - 1]].length > MOST_POSITIONS) size >>= 1;
      const rows = filled.splice(0, size);
      const outputs = await this.#batch(rows.map((row) => prepared[row]), rows.map((row) => sources[row]), beam);
      rows.forEach((row, k) => outputs[k].length && (found[row] = outputs[k]));
    }
    return found;
  }

  /**
   * The attention of outputs of `several`: for each `{source, target, weights}`, where `weights[t][s]` is the share of token s
   * of the source in what the model read when it wrote token t; both end with "</s>". Null if the model has no attention.
   *
   * @param outputs: for each line one of its outputs of `several`.
   */
  async attention(lines, outputs) {
    checkLines(lines);
    const isOutput = (one) => Array.isArray(one?.ids) && Array.isArray(one.parts);
    if (!Array.isArray(outputs) || outputs.length !== lines.length || !outputs.every(isOutput))
      throw new TypeError("outputs: pass for each line one object of several(), such as found.map(([best]) => best)");
    const found = this.queue.then(async () => {
      const looks = [];
      for (const [k, line] of lines.entries()) looks.push(await this.#attention(line, outputs[k]));
      return looks;
    });
    this.queue = found.catch(() => null);
    return found;
  }

  async #attention(line, output) {
    const prepared = this.prepare(line);
    const ids = this.src.toIds(prepared);
    if (!this.manifest.about.attends || !ids.length || !output.ids.length) return null;
    const given = await this.encode({ src_ids: rectangular([ids]) });
    const weights = [];
    let states = Object.fromEntries(Object.entries(given).filter(([name]) => name.startsWith("state_")));
    for (const last of [BOS, ...output.ids]) {
      const lastIds = { type: "int32", dims: [1, 1], data: Int32Array.of(last) };
      const count = { type: "int64", dims: [1], data: BigInt64Array.of(1n) };
      const step = await this.decode({ ...given, ...states, last_ids: lastIds, count });
      weights.push(Array.from(step.weights.data));
      states = Object.fromEntries(Object.keys(states).map((name) => [name, step[`next_${name}`]]));
    }
    const [word, features] = this.src.parted(prepared);
    const named = features ? features.split(this.src.featureSeparator).filter(Boolean).map((one) => `[${one}]`) : [];
    const source = [...this.src.wordTokens(word).map(shownToken), ...named, "</s>"];
    return { source, target: [...output.parts, "</s>"], weights };
  }

  /** A line as the model reads it. */
  prepare(line) {
    const separator = this.src.featureSeparator;
    if (separator && line.split("\t").length !== 2)
      throw new TextError("expected a word, a TAB and its features, e.g. gehen<TAB>V;PST;1;SG");
    const [given, features] = this.src.parted(line);
    let word = normalised(given);
    if (this.manifest.lowercase) word = word.toLowerCase().normalize("NFC");
    if (6 * word.length > MOST_TOKENS && this.src.toIds(word).length > MOST_TOKENS)
      throw new TextError(`more than ${MOST_TOKENS.toLocaleString("en")} tokens in a sentence`);
    if (!separator) return word;
    const parts = normalised(features).split(separator).map((part) => part.trim()).filter(Boolean);
    return `${word}\t${parts.join(separator)}`;
  }

  async #batch(texts, sources, beam) {
    const { manifest, src, tgt } = this;
    const { search: settings } = manifest;
    const longest = sources.map((ids) => {
      const limit = Math.trunc(settings.max_len_ratio * settings.tgt_per_src * (ids.length + 1)) + settings.max_len_extra;
      return settings.same_length ? Math.min(limit, ids.length + 1) : limit;
    });
    const wholes = manifest.replaces_unknown ? texts.map((text) => src.wholeWords(src.parted(text)[0])) : null;
    const found = await search(this.decode, await this.encode({ src_ids: rectangular(sources) }), longest, beam, {
      size: tgt.tokens.length,
      lengthPenalty: settings.length_penalty,
      allowed: wholes && wholes.map((words, row) => allowedPlaces(words, sources[row], manifest.copies)),
    });
    return found.map((outputs, row) =>
      outputs.map(({ ids, places, logProb, score }) => {
        const isCopied = (k) => wholes && ids[k] === UNK;
        const tokens = ids.map((id, k) => (isCopied(k) ? src.asTarget(wholes[row][places[k]], tgt) : tgt.names([id])));
        const parts = tokens.map((some) => some.map(shownToken).join(" "));
        return { text: tgt.text(tokens.flat()), score, logProb, ids, parts };
      }),
    );
  }
}

function checkLines(lines) {
  const wrong = Array.isArray(lines) ? lines.findIndex((line) => typeof line !== "string") : -1;
  if (Array.isArray(lines) && wrong < 0) return;
  const found = wrong < 0 ? `lines is ${written(lines)}` : `lines[${wrong}] is ${written(lines[wrong])}`;
  throw new TypeError(`${found}; pass a list of strings, such as ["I am cold."]`);
}

/** A value for a message. */
function written(value) {
  return typeof value === "string" ? JSON.stringify(value.slice(0, 40)) : String(value);
}

/** A token without the marks that join it to others; a feature in brackets. */
function shownToken(token) {
  if (token.startsWith("\t")) return `[${token.slice(1)}]`;
  if (token.startsWith("  ")) return `▁${token.slice(2)}`;
  return token.startsWith(" ") ? token.slice(1) : token;
}

/** The places of the source whose words may replace <unk>: in models that copy, of unknown words, if there are some. */
function allowedPlaces(words, ids, copies) {
  const places = words.map((_, place) => place);
  const unknown = copies ? places.filter((place) => ids[place] === UNK) : [];
  return new Set(unknown.length ? unknown : places);
}

/** Ids with an end, padded. */
function rectangular(sources) {
  const longest = Math.max(...sources.map((ids) => ids.length)) + 1;
  const data = new Int32Array(sources.length * longest).fill(PAD);
  sources.forEach((ids, row) => data.set([...ids, EOS], row * longest));
  return { type: "int32", dims: [sources.length, longest], data };
}

async function read(folder, name, kind) {
  const answer = await fetch(new URL(name, folder));
  if (!answer.ok) throw new Error(`${name}: status ${answer.status}`);
  return answer[kind]();
}

async function openGraph(name, graph) {
  try {
    return await onnx.InferenceSession.create(new Uint8Array(graph));
  } catch (error) {
    throw new Error(`${name} is damaged; export the run again. ${error.message}`);
  }
}

/** The outputs of a graph by name; of the inputs those that it has. */
async function run(session, inputs) {
  const given = session.inputNames.map((name) => [name, new onnx.Tensor(inputs[name].type, inputs[name].data, inputs[name].dims)]);
  return session.run(Object.fromEntries(given));
}
