// Keeps the files of this folder for use without a network. The export puts `VERSION` and `FILES` before this text, with the
// SHA-256 and the bytes of each file. A change of a file changes this text, by which a browser finds the new version. It is used
// from the next visit on, so that files of two versions are never mixed.
"use strict";

const TYPES = { html: "text/html", css: "text/css", js: "text/javascript", json: "application/json", wasm: "application/wasm" };
const PREFIX = `wordseq ${registration.scope} `;
const CACHE = PREFIX + VERSION;

async function sha256(bytes) {
  const digest = new Uint8Array(await crypto.subtle.digest("SHA-256", bytes));
  return Array.from(digest, (byte) => byte.toString(16).padStart(2, "0")).join("");
}

async function ownCaches() {
  return (await caches.keys()).filter((name) => name.startsWith(PREFIX));
}

async function fill() {
  const total = Object.values(FILES).reduce((sum, file) => sum + file.bytes, 0);
  const cache = await caches.open(CACHE);
  let loaded = 0;
  for (const [name, file] of Object.entries(FILES)) {
    const answer = (await kept(name, file.sha256)) ?? (await loadedFile(name, file.sha256, (bytes) => tell(loaded + bytes, total)));
    await cache.put(name, answer);
    loaded += file.bytes;
  }
}

/** A file that is kept already, of this version or of an older one. */
async function kept(name, digest) {
  for (const cache of await ownCaches()) {
    const answer = await (await caches.open(cache)).match(name);
    if (answer?.headers.get("x-sha256") === digest) return answer;
  }
  return null;
}

async function loadedFile(name, digest, tellBytes) {
  const answer = await fetch(name, { cache: "reload" });
  if (!answer.ok) throw new Error(`${name}: status ${answer.status}`);
  const parts = [];
  let size = 0;
  const reader = answer.body.getReader();
  for (let { done, value } = await reader.read(); !done; { done, value } = await reader.read()) {
    parts.push(value);
    size += value.length;
    tellBytes(size);
  }
  const bytes = await new Blob(parts).arrayBuffer();
  if ((await sha256(bytes)) !== digest) throw new Error(`${name}: not the file that was exported`);
  const type = TYPES[name.split(".").pop()] ?? "application/octet-stream";
  // A new answer: one that was redirected could not be the answer to a visit.
  return new Response(bytes, { headers: { "content-type": type, "x-sha256": digest } });
}

async function tell(loaded, total) {
  for (const page of await clients.matchAll({ includeUncontrolled: true })) page.postMessage({ loaded, total });
}

async function clean() {
  await Promise.all((await ownCaches()).filter((name) => name !== CACHE).map((name) => caches.delete(name)));
  await clients.claim();
}

async function answered(request) {
  const url = new URL(request.url);
  const name = url.pathname.endsWith("/") ? new URL("index.html", url) : url;
  const cache = await caches.open(CACHE);
  return (await cache.match(name, { ignoreSearch: true })) ?? fetch(request);
}

addEventListener("install", (event) => event.waitUntil(fill()));
addEventListener("activate", (event) => event.waitUntil(clean()));
addEventListener("fetch", (event) => {
  if (event.request.method === "GET" && event.request.url.startsWith(registration.scope)) event.respondWith(answered(event.request));
});
