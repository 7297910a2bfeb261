// Copies the three files of onnxruntime-web that the page loads from node_modules/ into vendor/, and beside each its
// gzip and Brotli forms, which servers send. The smallest forms take half a minute, once. The runtime's licence is MIT.
// usage: npm ci --ignore-scripts && npm run vendor

import { copyFile, mkdir, readFile, writeFile } from "node:fs/promises";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { brotliCompressSync, constants, gzipSync } from "node:zlib";

const FILES = ["ort.wasm.min.mjs", "ort-wasm-simd-threaded.mjs", "ort-wasm-simd-threaded.wasm"];
const here = dirname(fileURLToPath(import.meta.url));
const source = join(here, "node_modules", "onnxruntime-web");
const vendor = join(here, "vendor");

await mkdir(vendor, { recursive: true });
for (const file of FILES) {
  const bytes = await readFile(join(source, "dist", file));
  await copyFile(join(source, "dist", file), join(vendor, file));
  await writeFile(join(vendor, `${file}.gz`), gzipSync(bytes, { level: constants.Z_BEST_COMPRESSION }));
  const params = { [constants.BROTLI_PARAM_SIZE_HINT]: bytes.length }; // the best quality is the default
  await writeFile(join(vendor, `${file}.br`), brotliCompressSync(bytes, { params }));
}
console.log(`vendor/: ${FILES.join(", ")}, each also as .gz and .br`);
