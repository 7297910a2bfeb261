// The model in onnxruntime-web: WebAssembly, one thread, from vendor/ and nowhere else.
//
// One thread needs no cross-origin isolation from the server, and a model of this size gains nothing from more. It runs
// on the page's own thread: a few milliseconds for a text. onnxruntime-web's WebAssembly build holds no telemetry, and
// the page's Content-Security-Policy would let none out.

import { BundleError } from "./core/errors.js";
import { requireRuntime } from "./core/manifest.js";

const FOLDER = new URL("vendor/", import.meta.url).href;

/** onnxruntime-web's module. */
async function load() {
  try {
    const ort = await import("./vendor/ort.wasm.min.mjs");
    ort.env.wasm.numThreads = 1;
    ort.env.wasm.wasmPaths = FOLDER;
    ort.env.logLevel = "error";
    return ort;
  } catch (error) {
    throw new BundleError(
      `The runtime is not in vendor/ (${error.message}); the README says how to put it there`,
      "unsupported",
    );
  }
}

/**
 * A model that is ready to run: loaded, and warm from a first run.
 * @param {Uint8Array} bytes
 * @param {import("./core/manifest.js").Manifest} manifest
 */
export async function openModel(bytes, manifest) {
  const ort = await load();
  requireRuntime(manifest, ort.env.versions?.web ?? ort.env.versions?.common);
  const session = await create(ort, bytes, manifest);
  const model = new Model(ort, session, manifest);
  await model.run({ inputIds: [0, 0], tokenTypeIds: [0, 0] });
  return model;
}

async function create(ort, bytes, manifest) {
  try {
    return await ort.InferenceSession.create(bytes, { executionProviders: ["wasm"], graphOptimizationLevel: "all" });
  } catch (error) {
    throw new BundleError(
      `The file ${manifest.model.path} does not load in this browser (${error.message})`,
      "unsupported",
    );
  }
}

class Model {
  constructor(ort, session, manifest) {
    this.ort = ort;
    this.session = session;
    this.manifest = manifest;
  }

  /**
   * Logits of one text, `(classes)` or `(tokens × classes)`.
   * @param {{inputIds: number[], tokenTypeIds: number[]}} encoding
   * @returns {Promise<Float32Array>}
   */
  async run({ inputIds, tokenTypeIds }) {
    const values = { input_ids: inputIds, token_type_ids: tokenTypeIds, attention_mask: inputIds.map(() => 1) };
    const feeds = {};
    for (const name of this.manifest.inputs) {
      const data = BigInt64Array.from(values[name], BigInt);
      feeds[name] = new this.ort.Tensor("int64", data, [1, data.length]);
    }
    const { [this.manifest.output]: logits } = await this.session.run(feeds);
    return logits.data;
  }
}
