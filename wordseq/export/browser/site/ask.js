// Answers what the page asks by a model on this machine; see `worker.js`. The files are kept for use without a network.
"use strict";

const SETTLE = 2000; // Most milliseconds to wait until the kept files are used.

const waiting = new Map();
// Scripts come from this folder only; the page's policy wants a name for that.
const scripts = self.trustedTypes?.createPolicy("wordseq", { createScriptURL: (name) => name }) ?? {
  createScriptURL: (name) => name,
};
let asked = 0;
let working = null;

/** The answer of the model; an Error with a message if there is none. */
async function ask(path, values, signal) {
  working ??= startModel();
  const worker = await working;
  const id = ++asked;
  return new Promise((resolve, reject) => {
    waiting.set(id, { resolve, reject });
    signal?.addEventListener("abort", () => {
      waiting.delete(id);
      worker.postMessage({ id });
      reject(signal.reason);
    });
    worker.postMessage({ id, path, values });
  });
}

async function startModel() {
  if (location.protocol === "file:")
    throw new Error("A browser loads a model only from a web server. In this folder, type: python -m http.server");
  const kept = await keep();
  const worker = new Worker(scripts.createScriptURL("worker.js"), { type: "module" });
  worker.addEventListener("message", ({ data: { id, found, error } }) => {
    const { resolve, reject } = waiting.get(id) ?? {};
    waiting.delete(id);
    if (error !== undefined) {
      reject?.(new Error(error));
      return;
    }
    // Only now: files are not kept if one is missing, and then the model's error is the reason to show.
    at("kept").textContent = kept
      ? "It works without a network from now on."
      : "This browser did not keep the files, so that the page needs a network: browsers keep files of https pages only.";
    resolve?.(found);
  });
  worker.addEventListener("error", ({ message }) => {
    for (const { reject } of waiting.values()) reject(new Error(`The model could not be loaded. ${message ?? ""}`));
    waiting.clear();
  });
  return worker;
}

/** Keep all files of this folder; whether they are. */
async function keep() {
  const keeper = navigator.serviceWorker;
  if (!keeper) return false;
  keeper.addEventListener("message", ({ data: { loaded, total } }) => {
    if (!keeper.controller) tell(`Loading the model: ${(loaded / 1e6).toFixed(1)} of ${(total / 1e6).toFixed(1)} MB`);
  });
  try {
    const registration = await keeper.register(scripts.createScriptURL("service-worker.js"));
    const first = registration.active ? null : registration.installing ?? registration.waiting;
    if (first && !(await settled(first))) return false;
    if (!keeper.controller) {
      const controlled = new Promise((resolve) => keeper.addEventListener("controllerchange", resolve, { once: true }));
      await Promise.race([controlled, new Promise((resolve) => setTimeout(resolve, SETTLE))]);
    }
    return true;
  } catch {
    return false;
  }
}

/** Whether a service worker has all files. */
function settled(worker) {
  return new Promise((resolve) => {
    const look = () => {
      if (worker.state === "activated") resolve(true);
      if (worker.state === "redundant") resolve(false);
    };
    worker.addEventListener("statechange", look);
    look();
  });
}
