// Keeps the page itself for use without a connection. The model and the tokenizer are kept by core/files.js, verified.
//
// VERSION names one state of the files; packaging sets it to a hash of all of them. A new state is fetched whole beside
// the old one and takes over when no page uses the old one any more, so a page never mixes two. With "development"
// nothing is kept: what is edited is what is seen.

const VERSION = "development";
const FILES = [
  "./",
  "app.css",
  "app.js",
  "config.js",
  "core/asset.js",
  "core/bytepair.js",
  "core/chain.js",
  "core/charmap.js",
  "core/clusters.js",
  "core/decision.js",
  "core/decompose.js",
  "core/encoding.js",
  "core/entailment.js",
  "core/errors.js",
  "core/files.js",
  "core/hangul.js",
  "core/index.js",
  "core/letters.js",
  "core/manifest.js",
  "core/marks.js",
  "core/merges.js",
  "core/pairs.js",
  "core/pieces.js",
  "core/pipeline.js",
  "core/search.js",
  "core/steps.js",
  "core/store.js",
  "core/stream.js",
  "core/symbols.js",
  "core/tables.js",
  "core/tokenizer.js",
  "core/trie.js",
  "core/unigram.js",
  "core/unknown.js",
  "core/ways.js",
  "core/windows.js",
  "core/wordpiece.js",
  "core/words.js",
  "icons/icon-192.png",
  "icons/icon-512.png",
  "icons/icon.svg",
  "manifest.webmanifest",
  "model/edgepack.json",
  "pipeline.js",
  "runtime.js",
  "vendor/ort-wasm-simd-threaded.mjs",
  "vendor/ort-wasm-simd-threaded.wasm",
  "vendor/ort.wasm.min.mjs",
  "view.js",
];
const PREFIX = `edgepack shell ${self.registration.scope} `;
const SHELL = PREFIX + VERSION;
const KEEPS = VERSION !== "development";

async function install() {
  if (!KEEPS) return;
  const shell = await caches.open(SHELL);
  await shell.addAll(FILES.map((file) => new Request(file, { cache: "no-cache" })));
}

async function removeOld() {
  for (const name of await caches.keys()) {
    if (name.startsWith(PREFIX) && name !== SHELL) await caches.delete(name);
  }
  await self.clients.claim();
}

async function respond(request) {
  const shell = await caches.open(SHELL);
  const page = request.mode === "navigate" ? "./" : request; // there is one page
  const kept = await shell.match(page, { ignoreSearch: true, ignoreVary: true });
  return kept ?? fetch(request);
}

self.addEventListener("install", (event) => event.waitUntil(install()));
self.addEventListener("activate", (event) => event.waitUntil(removeOld()));
self.addEventListener("fetch", (event) => {
  const own = event.request.method === "GET" && event.request.url.startsWith(self.registration.scope);
  if (KEEPS && own) event.respondWith(respond(event.request));
});
self.addEventListener("message", (event) => event.ports[0]?.postMessage(KEEPS));
