// usage: node in_chromium.mjs BUNDLE…   As in_node.mjs, in a page of headless Chromium: transformers.js's build for
// the web, on ONNX Runtime's WebAssembly. Pages come from a server on this machine; a request elsewhere is a failure.
import { readFile } from "node:fs/promises";
import { createServer } from "node:http";
import { createRequire } from "node:module";
import { basename, dirname, extname, join, resolve } from "node:path";
import { chromium } from "playwright-core";

const PROGRAM = process.env.CHROMIUM ?? "/usr/bin/chromium";
const FLAGS = ["--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking", "--disable-component-update", "--disable-sync"];
const TYPES = { ".mjs": "text/javascript", ".js": "text/javascript", ".wasm": "application/wasm", ".json": "application/json", ".html": "text/html" };
const HERE = import.meta.dirname ?? dirname(new URL(import.meta.url).pathname);
const MODULES = join(HERE, "node_modules");

// the onnxruntime-web that transformers.js asks for may lie in its own node_modules
const runtime = (() => {
  const path = createRequire(join(MODULES, "@huggingface/transformers/package.json")).resolve("onnxruntime-web");
  return dirname(path).slice(HERE.length);
})();
const IMPORTS = {
  "@huggingface/transformers": "/node_modules/@huggingface/transformers/dist/transformers.web.js",
  "onnxruntime-common": "/node_modules/onnxruntime-common/dist/esm/index.js",
  "onnxruntime-web/webgpu": `${runtime}/ort.webgpu.mjs`,
};
const PAGE = `<!doctype html><script type="importmap">${JSON.stringify({ imports: IMPORTS })}</script>`;

function serve(models) {
  const server = createServer(async (request, response) => {
    const path = decodeURIComponent(new URL(request.url, "http://localhost").pathname);
    if (path === "/") return response.setHeader("content-type", TYPES[".html"]).end(PAGE);
    const file = path.startsWith("/models/") ? join(models, path.slice("/models/".length)) : join(HERE, path);
    try {
      const data = await readFile(file);
      response.setHeader("content-type", TYPES[extname(file)] ?? "application/octet-stream").end(data);
    } catch {
      response.writeHead(404).end();
    }
  });
  return new Promise((done) => server.listen(0, "127.0.0.1", () => done(server)));
}

async function inPage({ name, wasm }) {
  const transformers = await import("@huggingface/transformers");
  const { checkBundle } = await import("/check_bundle.mjs");
  transformers.env.localModelPath = "/models/";
  transformers.env.backends.onnx.wasm.wasmPaths = wasm;
  const text = async (file) => (await fetch(`/models/${name}/${file}`)).text();
  const goldens = (await text("golden.jsonl")).trim().split("\n").map((line) => JSON.parse(line));
  return checkBundle(transformers, name, JSON.parse(await text("edgepack.json")), goldens);
}

const browser = await chromium.launch({ executablePath: PROGRAM, headless: true, args: FLAGS });
let passed = true;
for (const folder of process.argv.slice(2).map((path) => resolve(path))) {
  const server = await serve(dirname(folder));
  const origin = `http://127.0.0.1:${server.address().port}`;
  const page = await browser.newPage();
  page.on("pageerror", (error) => console.log(`page: ${error.message}`));
  page.on("request", (request) => {
    if (!request.url().startsWith(origin) && !/^(blob|data):/.test(request.url())) {
      console.log(`request to elsewhere: ${request.url()}`);
      passed = false;
    }
  });
  await page.goto(origin);
  const result = await page.evaluate(inPage, { name: basename(folder), wasm: `${origin}${runtime}/` });
  console.log(`Chromium ${browser.version()}\n${result.lines.join("\n")}`);
  passed &&= result.passed;
  await page.close();
  server.closeAllConnections();
  server.close();
}
await browser.close();
process.exit(passed ? 0 : 1);
