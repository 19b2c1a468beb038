// Translates for the page, beside it: the page stays awake. A message is `{id, path, values}`, or `{id}` to give up one;
// the answer is `{id, found}` or `{id, error}`. Paths and answers are those of `wordseq serve`.

import { planText, splitSentences } from "./sentences.js";
import { TextError, Translator } from "./translator.js";

const MOST_CHARS = 5000; // Of one text.
const MOST_ALTERNATIVES = 5;
const MOST_BEAM = 20; // One of 1,000 takes half a minute for a sentence, and cannot be stopped.

const loading = Translator.load();
const wanted = new Set();

const answers = {
  runs: ({ manifest }) => [manifest.about],
  languages: ({ manifest }) => manifest.languages,
  "frontend/settings": ({ manifest }) => ({
    charLimit: MOST_CHARS,
    keyRequired: false,
    beam: { usual: manifest.search.beam_size, most: Math.max(MOST_BEAM, manifest.search.beam_size) },
  }),
  inspect,
};

async function inspect(translator, { q, beam }, id) {
  const length = [...q].length;
  if (length > MOST_CHARS) throw new TextError(`${length.toLocaleString("en")} characters; a text may have ${MOST_CHARS.toLocaleString("en")}`);
  const { about, features } = translator.manifest;
  const plan = planText(q, features ? (line) => [line] : (line) => splitSentences(line, languageTag(about.source)));
  const { sentences } = plan;
  const stopped = () => !wanted.has(id);
  const found = await translator.several(sentences, beam, stopped);
  const most = MOST_ALTERNATIVES + 1;
  const others = beam < most ? await translator.several(sentences, most, stopped) : found;
  const looks = await translator.attention(sentences, found.map(([best]) => best));
  return {
    translatedText: plan.join(found.map(([best]) => best.text)),
    sentences: sentences.map((source, k) => {
      return { source, translations: distinct([found[k][0], ...others[k]]).slice(0, most), attention: looks[k] };
    }),
  };
}

/** Outputs with different texts. */
function distinct(outputs) {
  const found = new Map();
  for (const { text, score } of outputs) if (!found.has(text)) found.set(text, { text, score });
  return [...found.values()];
}

function languageTag(code) {
  try {
    return Intl.getCanonicalLocales(code)[0];
  } catch {
    return "en";
  }
}

addEventListener("message", async ({ data: { id, path, values } }) => {
  if (!path) {
    wanted.delete(id);
    return;
  }
  wanted.add(id);
  try {
    const translator = await loading;
    postMessage({ id, found: await answers[path](translator, values, id) });
  } catch (error) {
    postMessage({ id, error: error instanceof TextError ? error.message : `The model failed: ${error.message}` });
  }
  wanted.delete(id);
});
