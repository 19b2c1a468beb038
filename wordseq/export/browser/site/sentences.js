// Takes a text apart into sentences, and puts their translations together again, as `wordseq/serving/texts.py` does. Where
// sentences end is what Unicode says (UAX 29), with exceptions for initials and titles.

import { normalised } from "./text.js";

const TITLE = /(?:^|\s)(?:\p{Lu}|Mr|Mrs|Ms|Dr|Prof|St|Mme|Mlle|Hr|Fr|Sr|Sra|Nr|No|vs|bzw|e\.g|i\.e|z\.B)\.$/u;
// Chinese, Japanese, Thai, Lao, Khmer and Burmese write no space between sentences, or not always.
const WITHOUT_SPACES = String.raw`[\p{Script=Han}\p{Script=Hiragana}\p{Script=Katakana}\p{Script=Thai}\p{Script=Lao}\p{Script=Khmer}\p{Script=Myanmar}\u3001-\u3003\u3008-\u3011\uff01-\uff1f]`;
const ENDS_WITHOUT_SPACE = new RegExp(`${WITHOUT_SPACES}$`, "u");
const STARTS_WITHOUT_SPACE = new RegExp(`^${WITHOUT_SPACES}`, "u");

/** The sentences of a line; one without words is one sentence. */
export function splitSentences(line, language) {
  const text = normalised(line);
  const sentences = [];
  for (const { segment } of new Intl.Segmenter(language, { granularity: "sentence" }).segment(text)) {
    const part = segment.trim();
    if (sentences.length && TITLE.test(sentences.at(-1))) sentences.push(`${sentences.pop()} ${part}`);
    else if (part) sentences.push(part);
  }
  return sentences.length ? sentences : [text];
}

/** One text of sentences. */
export function joinSentences(sentences) {
  let text = "";
  for (const sentence of sentences.filter(Boolean)) {
    const touching = ENDS_WITHOUT_SPACE.test(text) && STARTS_WITHOUT_SPACE.test(sentence);
    text += (touching || !text ? "" : " ") + sentence;
  }
  return text;
}

/** Sentences of a text, and `join`: from their translations to that of the text, with its line breaks and the spaces around its lines. */
export function planText(text, split) {
  // At even places lines, at odd ones line ends.
  const parts = text.split(/(\r\n|\r|\n)/);
  const lines = parts.map((part, k) => (k % 2 || !part.trim() ? [] : split(part)));
  const join = (translations) => {
    const rest = [...translations];
    return lines.map((line, k) => {
      if (!line.length) return parts[k];
      const [before, after] = parts[k].split(parts[k].trim());
      return before + joinSentences(rest.splice(0, line.length)) + after;
    }).join("");
  };
  return { sentences: lines.flat(), join };
}
