// Text to token ids and back, for source or target: what `wordseq/export/portable_text.py` does in Python, under the same names.

import { byteToken, pieceEncoder } from "./pieces.js";

const SPECIALS = ["<pad>", "<unk>", "<s>", "</s>"];
export const UNKNOWN = 1;

const REMOVED =
  /[\u200b\u2060\ufeff\u00ad\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069\x00-\x08\x0e-\x1b\x7f-\x84\x86-\x9f]/g;
// The spaces of Python's str.split().
const SPACE = /[\t-\r\x1c-\x20\x85\xa0\u1680\u2000-\u200a\u2028\u2029\u202f\u205f\u3000]/g;
const SPACES = new RegExp(`${SPACE.source}+`);
const LONE = /\p{Surrogate}/gu;
const [JOINER, ESCAPE, RESERVED] = ["\uffed", "\uffee", "\u2581\u2585<"];
const WORD = String.raw`\p{L}\p{M}\p{N}\u200c\u200d`;
const SYMBOL_START = new RegExp(`[^${WORD} ]`, "gu");
const WORD_CHAR = new RegExp(`[${WORD}]`, "uy");
const FLAG = /\p{RI}{2}/uy;
// Characters that join the next one to themselves, and are no letters.
const PREPENDED = /[\u0600-\u0605\u06dd\u070f\u0890\u0891\u08e2\u{110bd}\u{110cd}]/uy;
const BYTE_RUN = /(?:<0x[0-9A-F]{2}>)+/g;
const BYTE_OR_UNKNOWN = /^<(?:0x[0-9A-F]{2}|unk)>$/;
const CONTROLS = /[\x00-\x1f\x7f-\x9f\u2028\u2029]/g;
const LETTERS = /[\p{L}\p{M}]+/gu;
const ASCII = /^[\x00-\x7f]*$/;

const segmenter = new Intl.Segmenter("en", { granularity: "grapheme" });
const encoder = new TextEncoder();
const decoder = new TextDecoder("utf-8", { ignoreBOM: true });

// --- normalising

/** Whether a mark has a canonical combining class other than 0, by which NFD sorts it. */
export function isOrdered(char) {
  // Tibetan vowels of class 0 whose parts have others.
  if (!/^\p{M}$/u.test(char) || /[\u0f73\u0f75\u0f81]/.test(char)) return false;
  // U+0334 has the lowest class, 1, and moves before all others; U+0345 has the highest, 240, and moves behind them.
  return `${char}\u0334`.normalize("NFD").startsWith("\u0334") || !`\u0345${char}`.normalize("NFD").startsWith("\u0345");
}

/** The text with at most 30 ordered marks in a row; NFC sorts n of them in n * n steps. */
function calmed(text) {
  const known = new Map();
  let run = 0;
  let kept = "";
  for (const char of text) {
    if (!known.has(char)) known.set(char, isOrdered(char));
    run = known.get(char) ? run + 1 : 0;
    if (run <= 30) kept += char;
  }
  return kept;
}

/** NFC, without invisible characters, with single spaces between words and none at the ends. */
export function normalised(text) {
  let shown = text.replace(LONE, "\ufffd");
  if (shown.length > 1000 && [...shown].length > 1000 && !ASCII.test(shown)) {
    const visible = shown.replace(REMOVED, "");
    const calm = calmed(visible);
    if (calm !== visible) shown = calmed(calm.normalize("NFC"));
  }
  return shown.replace(REMOVED, "").split(SPACES).filter(Boolean).join(" ").normalize("NFC");
}

function inForm(text, form) {
  const formed = text.normalize(form);
  return form.includes("K") ? formed.split(SPACES).filter(Boolean).join(" ") : formed;
}

function escaped(text, reserved) {
  let found = text;
  [...(ESCAPE + reserved)].forEach((char, digit) => (found = found.replaceAll(char, `${ESCAPE}${digit}`)));
  return found;
}

function unescaped(text, reserved) {
  const chars = [...(ESCAPE + reserved)];
  return chars.reduceRight((found, char, digit) => found.replaceAll(`${ESCAPE}${digit}`, char), text);
}

// --- words and symbols

function matchedAt(pattern, text, place) {
  pattern.lastIndex = place;
  return pattern.exec(text)?.[0] ?? "";
}

/** The symbol that begins at a place: a flag, or a character with its marks, variation selectors and joined emoji. */
function symbolAt(text, place) {
  const flag = matchedAt(FLAG, text, place) || matchedAt(PREPENDED, text, place);
  if (flag) return flag;
  const char = String.fromCodePoint(text.codePointAt(place));
  const next = text.charCodeAt(place + char.length);
  // Nothing below U+0300 joins the character before it: most symbols need no segmenter.
  if (!(next >= 0x300)) return char;
  const [first] = segmenter.segment(text.slice(place));
  return first.segment;
}

/** Words, and symbols with a joiner where they touch something. */
export function words(text) {
  if (!text) return [];
  let [marked, end] = ["", 0];
  SYMBOL_START.lastIndex = 0;
  for (let found = SYMBOL_START.exec(text); found; found = SYMBOL_START.exec(text)) {
    const start = found.index;
    const symbol = symbolAt(text, start);
    marked += text.slice(end, start);
    end = start + symbol.length;
    const left = start > 0 && text[start - 1] !== " " ? ` ${JOINER}` : "";
    const right = matchedAt(WORD_CHAR, text, end) ? `${JOINER} ` : "";
    marked += `${left}${escaped(symbol, JOINER)}${right}`;
    SYMBOL_START.lastIndex = end;
  }
  return (marked + text.slice(end)).split(" ");
}

function wordsText(tokens) {
  const text = tokens.join(" ").replaceAll(` ${JOINER}`, "").replaceAll(`${JOINER} `, "").replaceAll(JOINER, "");
  return unescaped(text, JOINER);
}

function textOfBytes(bytes) {
  return decoder.decode(new Uint8Array(bytes)).replace(CONTROLS, "\ufffd");
}

function textOfByteRun(run) {
  return textOfBytes(run.match(/[0-9A-F]{2}(?=>)/g).map((digits) => parseInt(digits, 16)));
}

/** The words of any tokens: letters joined, other tokens as they are. */
function joinLetters(tokens) {
  const found = [];
  let letters = [];
  for (const token of [...tokens, "  "]) {
    const spelled = token.startsWith(" ");
    if (letters.length && (!spelled || token.startsWith("  "))) {
      found.push(textOfBytes(letters).replace(SPACE, "\ufffd"));
      letters = [];
    }
    if (!spelled) found.push(token);
    else if (token !== "  ") {
      const byte = /^ <0x([0-9A-F]{2})>$/.exec(token);
      letters.push(...(byte ? [parseInt(byte[1], 16)] : encoder.encode(token.replace(/^ +/, ""))));
    }
  }
  return found;
}

// --- twins

/** The first letter as at the beginning of a title: that of ǆ is ǅ, of ß Ss, of ᾀ ᾈ, of ŉ ʼN; Georgian has none. */
function titled(char) {
  if (/^[\u01c4-\u01cc\u01f1-\u01f3]$/.test(char)) return { "Ǆ": "ǅ", "Ǉ": "ǈ", "Ǌ": "ǋ", "Ǳ": "ǲ" }[char.toUpperCase()];
  if (/^[\u10d0-\u10ff]$/.test(char)) return char;
  const [first, ...rest] = char.toUpperCase();
  if (rest.at(-1) === "\u0399") return `${first}${rest.slice(0, -1).join("")}\u0345`.normalize("NFC");
  return char === "ŉ" ? char.toUpperCase() : first + rest.join("").toLowerCase();
}

/** A text in other cases, the nearest first: in lower case, as in a title, in upper case. */
export function caseTwins(text) {
  if (!text) return [];
  const [first, ...rest] = text;
  // The rest with the first letter: a final sigma is one that follows a letter.
  const capital = titled(first) + (first + rest.join("")).toLowerCase().slice(first.toLowerCase().length);
  const cased = [text.toLowerCase(), capital, text.toUpperCase()].map((other) => other.normalize("NFC"));
  return cased.filter((other) => other !== text);
}

function widened(text) {
  return text.replace(/[!-~]/g, (char) => String.fromCharCode(char.charCodeAt(0) + 0xfee0));
}

/** Other ways of writing a character: unknown tokens are read as known ones that mean the same. */
class Twins {
  /**
   * @param signs, opening: for each character its twins, with spaces between; `opening`: those at the start of a word.
   * @param plain: the plain form of full-width and narrow forms, ligatures, and digits of other scripts.
   */
  constructor({ signs, opening, plain }) {
    [this.signs, this.opening, this.plain] = [signs, opening, plain].map((table) => new Map(Object.entries(table)));
  }

  /** The twins of a character, the nearest first. */
  ofSign(char, opening) {
    const signs = opening && this.opening.has(char) ? this.opening : this.signs;
    const found = (signs.get(char) ?? "").split(" ").filter(Boolean);
    if (!ASCII.test(char)) {
      const plain = this.plain.get(char);
      if (plain) found.push(plain, ...(this.signs.get(plain) ?? "").split(" ").filter(Boolean));
    } else if (!/[0-9A-Za-z]/.test(char)) found.push(widened(char));
    return found.filter((twin) => twin !== char);
  }

  /** A word in other ways of writing it. */
  *variants(core, opening) {
    const chars = [...core];
    for (const asciiOnes of [false, true]) {
      const choices = chars.map((char) => (ASCII.test(char) === asciiOnes ? this.ofSign(char, opening) : []));
      const most = Math.max(0, ...choices.map((twins) => twins.length));
      for (let k = 0; k < most; k++) {
        const chosen = chars.map((char, at) => choices[at][Math.min(k, choices[at].length - 1)] ?? char);
        yield chosen.join("").normalize("NFC");
      }
    }
    if (ASCII.test(core)) yield widened(core);
  }
}

// --- one side

/** Source or target: text to ids and back. */
export class Side {
  /**
   * @param about: its part of the manifest.
   * @param tokens: the tokens after the special ones.
   * @param scores: those of subwords, by subword; null for words and symbols.
   */
  constructor(about, tokens, scores) {
    this.form = about.form;
    this.written = about.written;
    this.separator = about.separator;
    this.featureSeparator = about.feature_separator;
    this.kind = JSON.stringify([about.level, this.separator]);
    this.tokens = [...SPECIALS, ...tokens];
    this.ids = new Map(tokens.map((token, index) => [token, index + SPECIALS.length]));
    this.pieces = scores ? pieceEncoder(about.level, new Map(Object.entries(scores))) : null;
    this.twins = about.twins ? new Twins(about.twins) : null;
    this.known = new Map([[" ", true]]);
    // A rare word is spelled: "  h", " o", " u", " s", " e". Two spaces begin it, alone if its first letter has no token.
    this.spells = tokens[0] === "  ";
  }

  // --- to ids

  /** The ids of a prepared source, with its features, without an end. */
  toIds(text) {
    const [word, features] = this.parted(text);
    const parts = this.featureSeparator ? features.split(this.featureSeparator).filter(Boolean) : [];
    const tokens = [...this.wordTokens(word), ...parts.map((part) => `\t${part}`)];
    return tokens.map((token) => this.ids.get(token) ?? UNKNOWN);
  }

  /** A source and its features. */
  parted(text) {
    const place = this.featureSeparator ? text.indexOf("\t") : -1;
    return place < 0 ? [text, ""] : [text.slice(0, place), text.slice(place + 1)];
  }

  /** The tokens of a prepared text without features, as the model reads them. */
  wordTokens(text) {
    let tokens;
    if (!this.twins) tokens = this.formedTokens(text);
    else if (this.pieces) tokens = this.formedTokens(this.readCharacters(text));
    else tokens = this.formedTokens(text).flatMap((token) => this.readWord(token));
    return this.spells ? tokens.flatMap((token) => (this.ids.has(token) ? [token] : this.spell(token))) : tokens;
  }

  formedTokens(text) {
    return this.cut(this.form === "NFC" ? text : inForm(text, this.form));
  }

  /** The tokens of a text in the form of this side. */
  cut(text) {
    if (this.pieces) return this.pieces(escaped(text, RESERVED));
    return this.separator ? text.split(this.separator).filter(Boolean) : words(text);
  }

  spell(word) {
    const chars = [...word];
    const first = `  ${chars[0]}`;
    const tokens = [this.ids.has(first) ? first : "  "];
    for (const char of this.ids.has(first) ? chars.slice(1) : chars) {
      if (this.ids.has(` ${char}`)) tokens.push(` ${char}`);
      else tokens.push(...Array.from(encoder.encode(char), (byte) => ` ${byteToken(byte)}`));
    }
    return tokens;
  }

  /** The known tokens instead of this one; the token itself if it is known or has no twin. */
  readWord(token) {
    const core = this.separator ? token : token.replace(/^\uffed+|\uffed+$/g, "");
    if (this.ids.has(token) || !core) return [token];
    const place = token.indexOf(core);
    const [left, right] = [token.slice(0, place), token.slice(place + core.length)];
    const composed = inForm(core, "NFC");
    for (const text of [composed, ...this.twins.variants(composed, !left)]) {
      const parts = this.formedTokens(text);
      if (!parts.length) continue;
      parts[0] = left + parts[0];
      parts[parts.length - 1] += right;
      const known = parts.map((part) => this.knownWord(part));
      if (known.every(Boolean)) return known;
    }
    return [token];
  }

  /** The token if it is known, else the most frequent of its forms in another case; empty if none is known. */
  knownWord(token) {
    if (this.ids.has(token)) return token;
    const twins = caseTwins(token).map((other) => inForm(other, this.form)).filter((other) => this.ids.has(other));
    return twins.length ? twins.reduce((best, other) => (this.ids.get(other) < this.ids.get(best) ? other : best)) : "";
  }

  readCharacters(text) {
    if (this.allKnown(text)) return text;
    let before = " ";
    let read = "";
    for (const char of text) {
      read += this.sign(char, before === " ");
      before = char;
    }
    read = read.replace(LETTERS, (letters) => this.recased(letters));
    return read === text ? text : inForm(inForm(read, this.form), "NFC");
  }

  sign(char, opening) {
    if (this.allKnown(char)) return char;
    const twins = [...this.twins.ofSign(char, opening), ...(ASCII.test(char) ? [widened(char)] : [])];
    // A full-width letter of a case that is unknown too becomes a plain one, whose case is next.
    const plain = twins.find((twin) => caseTwins(twin).some((other) => this.knows(other)));
    return twins.find((twin) => this.knows(twin)) ?? plain ?? char;
  }

  recased(letters) {
    if (this.allKnown(letters)) return letters;
    const all = caseTwins(letters).find((other) => this.allKnown(other));
    if (all) return all;
    const one = (char) => (this.allKnown(char) ? char : (caseTwins(char).find((other) => this.knows(other)) ?? char));
    return [...letters].map(one).join("");
  }

  allKnown(text) {
    for (const char of text) {
      if (!this.known.has(char)) this.known.set(char, this.knows(char));
      if (!this.known.get(char)) return false;
    }
    return true;
  }

  knows(text) {
    return !this.formedTokens(text).some((token) => BYTE_OR_UNKNOWN.test(token));
  }

  // --- to text

  /** The tokens of ids; that of an unknown one is "<unk>". */
  names(ids) {
    return ids.filter((id) => id === UNKNOWN || id >= SPECIALS.length).map((id) => this.tokens[id]);
  }

  /** The text of any tokens. */
  text(tokens) {
    const isFeature = (token) => this.featureSeparator !== "" && token.startsWith("\t");
    const found = tokens.filter((token) => !isFeature(token));
    const text = this.join(this.spells ? joinLetters(found) : found).normalize(this.written);
    if (!this.featureSeparator) return text;
    const features = tokens.filter(isFeature).map((token) => token.slice(1));
    return `${text}\t${features.join(this.featureSeparator)}`;
  }

  /** The text of tokens as the tokenizer has them. */
  join(tokens) {
    if (!this.pieces) return this.separator ? tokens.join(this.separator) : wordsText(tokens);
    return unescaped(tokens.join("").replace(BYTE_RUN, textOfByteRun).replaceAll("\u2581", " "), RESERVED);
  }

  // --- words of the source in place of <unk>

  /** For each of `wordTokens(text)` the word that it is part of. */
  wholeWords(text) {
    const tokens = this.wordTokens(text);
    let starts;
    let found;
    if (this.spells) {
      starts = tokens.map((token) => !token.startsWith(" ") || token.startsWith("  "));
      found = joinLetters(tokens);
    } else if (!this.pieces) return tokens;
    else {
      starts = tokens.map((token, k) => k === 0 || token.startsWith("\u2581"));
      const whole = text.split(" ").length === starts.filter(Boolean).length ? text : this.join(tokens);
      found = whole.split(" ").map(mainWord);
    }
    let number = -1;
    return starts.map((isStart) => found.at((number += isStart)));
  }

  /** The target tokens of one of `wholeWords`. */
  asTarget(word, target) {
    const own = this.pieces ? JSON.stringify(["word", ""]) : this.kind;
    if (own === target.kind && this.form === target.form) return [word];
    return target.cut(inForm(this.pieces ? wordsText([word]) : this.join([word]), target.form));
  }
}

/** The longest of the words and symbols of a word, words first. */
function mainWord(word) {
  const rank = (token) => (token.includes(JOINER) ? 0 : 1e9) + [...token].length;
  return words(word).reduce((best, token) => (best && rank(best) >= rank(token) ? best : token), "");
}
