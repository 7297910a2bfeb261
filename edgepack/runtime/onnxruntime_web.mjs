// Runs one ONNX file in onnxruntime-web (WebAssembly) for edgepack/runtime/onnxruntime_web.py.
// usage: node onnxruntime_web.mjs MODULES MODEL THREADS; MODULES is the node_modules folder that holds the package.
// It prints one JSON line when the model is loaded, then one for each request line on stdin, until that ends:
//   → {"shape": [batch, seq], "inputs": {name: [integers]}}
//   ← {"ms": milliseconds of the run, "dims": [...], "logits": [numbers]}
// An error is {"error": message}. A float32 printed as a JavaScript number is read back exactly.
import { readFileSync } from "node:fs";
import { createRequire } from "node:module";
import { resolve } from "node:path";
import { createInterface } from "node:readline";

const [modules, model, threads] = process.argv.slice(2);
const print = (value) => process.stdout.write(`${JSON.stringify(value)}\n`);
const message = (error) => String(error?.message ?? error).split("\n")[0];

const ort = createRequire(resolve(modules, "here.js"))("onnxruntime-web");
ort.env.logLevel = "error";
ort.env.wasm.numThreads = Number(threads);

async function load() {
  const bytes = readFileSync(model);
  await ort.InferenceSession.create(new Uint8Array(1)).catch(() => {}); // starts WebAssembly: that is not load time
  const baseline = process.memoryUsage.rss();
  const started = performance.now();
  const session = await ort.InferenceSession.create(bytes, { executionProviders: ["wasm"], graphOptimizationLevel: "all" });
  const ms = performance.now() - started;
  const shape = session.inputMetadata?.[0]?.shape ?? []; // from 1.21 on
  print({ ms, baseline, inputs: session.inputNames, shape, version: ort.env.versions?.web ?? "unknown" });
  return session;
}

async function run(session, { shape, inputs }) {
  const feeds = {};
  for (const [name, values] of Object.entries(inputs)) {
    feeds[name] = new ort.Tensor("int64", BigInt64Array.from(values, BigInt), shape);
  }
  const started = performance.now();
  const found = await session.run(feeds);
  const ms = performance.now() - started;
  const output = found[session.outputNames[0]]; // logits, or what embeds texts calls a vector
  print({ ms, dims: output.dims, logits: Array.from(output.data) });
}

let session;
try {
  session = await load();
} catch (error) {
  print({ error: message(error) });
  process.exit(1);
}
for await (const line of createInterface({ input: process.stdin })) {
  try {
    await run(session, JSON.parse(line));
  } catch (error) {
    print({ error: message(error) });
  }
}
process.exit(0);
