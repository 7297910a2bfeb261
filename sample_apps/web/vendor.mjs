// Copies the three files of onnxruntime-web that the page loads from node_modules/ into vendor/. Its licence is MIT.
// usage: npm ci --ignore-scripts && npm run vendor

import { copyFile, mkdir } from "node:fs/promises";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";

const FILES = ["ort.wasm.min.mjs", "ort-wasm-simd-threaded.mjs", "ort-wasm-simd-threaded.wasm"];
const here = dirname(fileURLToPath(import.meta.url));
const source = join(here, "node_modules", "onnxruntime-web");

await mkdir(join(here, "vendor"), { recursive: true });
for (const file of FILES) await copyFile(join(source, "dist", file), join(here, "vendor", file));
console.log(`vendor/: ${FILES.join(", ")}`);
