// vendor.mjs and serve.mjs on a runtime of a few bytes: each form is the same file, and the right one is sent.

import assert from "node:assert/strict";
import { spawn, spawnSync } from "node:child_process";
import { once } from "node:events";
import { copyFile, mkdir, mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { get } from "node:http";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, test } from "node:test";
import { fileURLToPath } from "node:url";
import { brotliDecompressSync, gunzipSync } from "node:zlib";

const TEMPLATE = fileURLToPath(new URL("../../../sample_apps/web/", import.meta.url));
const FILES = ["ort.wasm.min.mjs", "ort-wasm-simd-threaded.mjs", "ort-wasm-simd-threaded.wasm"];
const WASM = `vendor/${FILES[2]}`;
const bytes = Buffer.from("a runtime of words that come again, again and again. ".repeat(500));
let folder, server, url;

before(async () => {
  folder = await mkdtemp(join(tmpdir(), "edgepack-serve-"));
  for (const name of ["vendor.mjs", "serve.mjs", "package.json", "index.html"])
    await copyFile(join(TEMPLATE, name), join(folder, name));
  const source = join(folder, "node_modules", "onnxruntime-web", "dist");
  await mkdir(source, { recursive: true });
  for (const file of FILES) await writeFile(join(source, file), bytes);
  const done = spawnSync("node", [join(folder, "vendor.mjs")], { encoding: "utf8" });
  assert.equal(done.status, 0, done.stderr);
  server = spawn("node", [join(folder, "serve.mjs"), "0"], { stdio: ["ignore", "pipe", "inherit"] });
  const [line] = await once(server.stdout, "data");
  url = String(line).trim();
});

after(async () => {
  server?.kill();
  await rm(folder, { recursive: true, force: true });
});

async function fetched(path, accepted) {
  const headers = accepted === null ? {} : { "Accept-Encoding": accepted };
  const [response] = await once(get(url + path, { headers }), "response");
  const parts = [];
  for await (const part of response) parts.push(part);
  return { headers: response.headers, body: Buffer.concat(parts) };
}

const decoded = { br: brotliDecompressSync, gzip: gunzipSync, undefined: (body) => body };

test("vendor.mjs writes both forms of each file", async () => {
  for (const file of FILES) {
    const path = join(folder, "vendor", file);
    assert.deepEqual(await readFile(path), bytes);
    assert.deepEqual(gunzipSync(await readFile(`${path}.gz`)), bytes);
    assert.deepEqual(brotliDecompressSync(await readFile(`${path}.br`)), bytes);
  }
});

for (const [accepted, encoding] of [
  ["gzip, deflate, br, zstd", "br"],
  ["gzip, deflate", "gzip"],
  ["br;q=0, gzip;q=0.5", "gzip"],
  ["BR", "br"],
  ["identity", undefined],
  ["vibration", undefined],
  [null, undefined],
]) {
  test(`what accepts ${accepted} gets ${encoding ?? "the file as it is"}`, async () => {
    const { headers, body } = await fetched(WASM, accepted);
    assert.equal(headers["content-encoding"], encoding);
    assert.equal(headers.vary, "Accept-Encoding");
    assert.equal(headers["content-type"], "application/wasm");
    assert.equal(Number(headers["content-length"]), body.length);
    assert.deepEqual(decoded[encoding](body), bytes);
    assert.equal(body.length < bytes.length / 10, encoding !== undefined);
  });
}

test("a file without another form goes out as it is", async () => {
  const { headers, body } = await fetched("index.html", "gzip, br");
  assert.deepEqual([headers["content-encoding"], headers.vary], [undefined, undefined]);
  assert.deepEqual(body, await readFile(join(TEMPLATE, "index.html")));
});
