// The page of `wordseq serve`, and of `wordseq export --format web`. What answers is in ask.js: a server, or a model in the
// browser. Answers are put into the page as text, never as markup.
"use strict";

const WAIT = 250; // Milliseconds without a key before a text is translated.
const SLOW = 300; // Milliseconds without an answer before the page says that it waits.
const RETRY = 1000; // Milliseconds before a busy server is asked again.
const KEY = "wordseq-api-key";

const at = (id) => document.getElementById(id);
const numbers = new Intl.NumberFormat("en");
const state = { runs: [], names: {}, limit: Infinity, keyRequired: false, beam: null, timer: 0, asked: null, found: null, chosen: 0 };

/** A new element with text. */
function make(tag, text = "", attributes = {}) {
  const element = document.createElement(tag);
  element.textContent = text;
  for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, value);
  return element;
}

// --- languages

function currentRun() {
  return state.runs.find((run) => run.source === at("source").value && run.target === at("target").value);
}

function fill(select, codes, wanted) {
  select.replaceChildren(...codes.map((code) => make("option", state.names[code], { value: code })));
  if (codes.includes(wanted)) select.value = wanted;
  select.disabled = codes.length < 2;
}

function showLanguages(source, target) {
  fill(at("source"), [...new Set(state.runs.map((run) => run.source))], source);
  const targets = state.runs.filter((run) => run.source === at("source").value).map((run) => run.target);
  fill(at("target"), targets, target);
  const run = currentRun();
  at("swap").hidden = !state.runs.some((other) => other.source === run.target && other.target === run.source);
  at("text").lang = run.source;
  at("translation").lang = run.target;
  at("run").textContent = run.name;
  showRun(run);
}

function showRun(run) {
  at("model").hidden = false;
  const rows = [["Run", run.name], ["Direction", `${state.names[run.source]} to ${state.names[run.target]}`], ["Model", run.model]];
  if (run.made_of) rows.push(["Made of", run.made_of]);
  rows.push(["Parameters", numbers.format(run.parameters)]);
  if (run.precision) rows.push(["Precision", run.precision]);
  if (run.pairs !== null) rows.push(["Training pairs", numbers.format(run.pairs)]);
  rows.push(["Held-out sources", run.scores ? numbers.format(run.scores.sentences) : "not scored; wordseq eval scores them"]);
  for (const metric of run.scores ? run.scores.metrics : []) {
    const [score, low, high] = [metric.score, metric.low, metric.high].map((value) => value.toFixed(1));
    rows.push([metric.name, `${score} (95 % interval ${low} to ${high})`]);
  }
  at("about").replaceChildren(...rows.flatMap(([name, value]) => [make("dt", name), make("dd", value)]));
}

// --- translating

function tell(message, wrong = false) {
  at("status").textContent = message;
  at("status").classList.toggle("wrong", wrong);
}

function showCount() {
  const length = [...at("text").value].length;
  // Without a limit the settings have not come.
  at("count").textContent = length && state.limit < Infinity ? `${numbers.format(length)} of ${numbers.format(state.limit)} characters` : "";
  at("clear").hidden = !length;
}

/** Whether what is shown belongs to the text. */
function markOld(old) {
  for (const part of ["translation", "details"]) at(part).classList.toggle("old", old);
  at("copy").disabled = old || !state.found;
  at("copy").textContent = "Copy";
}

/** Translate soon: what was asked before is no longer wanted, nor what was said of it. */
function later(wait = WAIT) {
  showCount();
  clearTimeout(state.timer);
  if (state.asked) state.asked.abort();
  if (state.runs.length) tell(""); // Before, it is about the model.
  markOld(true);
  state.timer = setTimeout(translate, wait);
}

/** Whether the beam size is one; if not, the page names those that are. */
function checkBeam() {
  const valid = at("beam").validity.valid;
  const message = valid ? "" : `Beam size: type a whole number from 1 to ${numbers.format(state.beam.most)}`;
  at("beam").setAttribute("aria-invalid", !valid);
  at("beam-message").textContent = message;
  at("beam-message").hidden = valid;
  if (!valid) tell(message, true);
  return valid;
}

async function translate() {
  if (!state.runs.length) return; // `start` translates, or shows why it cannot.
  const q = at("text").value;
  if (!q.trim()) {
    tell("");
    show(null);
    // Its field is hidden now.
    if (state.beam && !at("beam").validity.valid) at("beam").value = state.beam.usual;
    return;
  }
  if (state.beam && !checkBeam()) return;
  const asked = (state.asked = new AbortController());
  const began = performance.now();
  const values = { q, source: at("source").value, target: at("target").value };
  if (state.keyRequired) values.api_key = at("key").value;
  if (state.beam) values.beam = at("beam").valueAsNumber;
  const waiting = setTimeout(() => tell("Translating…"), SLOW);
  try {
    const found = await ask("inspect", values, asked.signal);
    tell(`${Math.round(performance.now() - began)} ms`);
    show(found);
  } catch (error) {
    if (asked.signal.aborted) return;
    if (error.status === 429) {
      later(RETRY);
      tell("The server is busy; trying again");
      return;
    }
    tell(error.message, true);
    at("details").hidden = true;
  } finally {
    clearTimeout(waiting);
  }
}

function show(found) {
  state.found = found;
  at("translation").textContent = found ? found.translatedText : "";
  markOld(false);
  const sentences = found ? found.sentences : [];
  at("details").hidden = !sentences.length;
  if (!sentences.length) return;
  state.chosen = Math.min(state.chosen, sentences.length - 1);
  for (const part of ["details-title", "sentences"]) at(part).hidden = sentences.length < 2;
  const buttons = sentences.map((sentence, k) => {
    const button = make("button", sentence.source, { type: "button", dir: "auto" });
    button.addEventListener("click", () => choose(k));
    const item = document.createElement("li");
    item.append(button);
    return item;
  });
  at("sentences").replaceChildren(...buttons);
  choose(state.chosen);
}

// --- one sentence

function choose(number) {
  state.chosen = number;
  at("sentences").querySelectorAll("button").forEach((button, k) => button.setAttribute("aria-pressed", k === number));
  const sentence = state.found.sentences[number];
  const rows = sentence.translations.map((translation) => {
    const row = document.createElement("tr");
    const score = translation.score.toFixed(2).replace("-0.00", "0.00").replace("-", "−");
    row.append(make("td", translation.text, { dir: "auto" }), make("td", score, { class: "number" }));
    return row;
  });
  at("alternatives").replaceChildren(...rows);
  at("look").hidden = !sentence.attention;
  at("no-attention").hidden = Boolean(sentence.attention);
  const why = currentRun().attends ? "The sentence or its translation has no words." : "This model has no attention.";
  at("no-attention").textContent = why;
  if (sentence.attention) showAttention(sentence.attention);
}

/** A token without the marks that join it to others; the end of a sentence by its name. */
function shown(token) {
  if (token === "</s>") return "(end)";
  return token.replace(/^[￭▁]+|￭+$/gu, "") || token;
}

function showAttention({ source, target, weights }) {
  const head = document.createElement("tr");
  head.append(make("td", "", { class: "corner" }));
  for (const token of source) {
    const cell = make("th", "", { scope: "col" });
    cell.append(make("span", shown(token)));
    head.append(cell);
  }
  at("map-head").replaceChildren(head);
  const rows = target.map((token, t) => {
    const row = document.createElement("tr");
    row.append(make("th", shown(token), { scope: "row" }));
    weights[t].forEach((weight, s) => {
      const percent = `${Math.round(100 * weight)} %`;
      const cell = make("td", "", { title: `${shown(token)} ← ${shown(source[s])}: ${percent}` });
      cell.style.setProperty("--weight", weight);
      cell.append(make("span", percent, { class: "unseen" }));
      row.append(cell);
    });
    return row;
  });
  at("map-body").replaceChildren(...rows);
}

// --- buttons

function swap() {
  const text = at("translation").classList.contains("old") ? "" : at("translation").textContent;
  showLanguages(at("target").value, at("source").value);
  if (text) at("text").value = text;
  later(0);
}

async function copy() {
  try {
    await navigator.clipboard.writeText(at("translation").textContent);
    at("copy").textContent = "Copied";
  } catch {
    // Browsers have no clipboard for pages that come over plain HTTP from another machine: select it for the user.
    getSelection().selectAllChildren(at("translation"));
    tell("Selected; copy it with Ctrl-C");
  }
}

function clear() {
  at("text").value = "";
  at("text").focus();
  later(0);
}

async function start() {
  at("form").addEventListener("submit", (event) => event.preventDefault());
  at("text").addEventListener("input", () => later());
  at("source").addEventListener("change", () => (showLanguages(at("source").value, at("target").value), later(0)));
  at("target").addEventListener("change", () => (showLanguages(at("source").value, at("target").value), later(0)));
  at("key").addEventListener("input", () => (sessionStorage.setItem(KEY, at("key").value), later()));
  at("beam").addEventListener("input", () => later());
  at("swap").addEventListener("click", swap);
  at("copy").addEventListener("click", copy);
  at("clear").addEventListener("click", clear);
  for (const side of ["source", "target"]) at(side).replaceChildren(make("option", "Loading…"));
  tell("Loading the model");
  try {
    const [runs, languages, settings] = await Promise.all(["runs", "languages", "frontend/settings"].map((path) => ask(path)));
    state.names = Object.fromEntries(languages.map((language) => [language.code, language.name]));
    Object.assign(state, { runs, limit: settings.charLimit, keyRequired: settings.keyRequired, beam: settings.beam });
  } catch (error) {
    tell(error.message, true);
    for (const side of ["source", "target"]) at(side).replaceChildren(make("option", "Not loaded"));
    return;
  }
  at("key-line").hidden = !state.keyRequired;
  at("key").value = sessionStorage.getItem(KEY) || "";
  at("beam-line").hidden = !state.beam;
  if (state.beam) Object.assign(at("beam"), { max: state.beam.most, value: state.beam.usual });
  showLanguages(state.runs[0].source, state.runs[0].target);
  // A browser keeps the text when a page is loaded again.
  later(0);
}

start();
