// From a bundle to a pipeline: fetch and verify its files, open the model.

import { BundleError, KeptVectors, Pipeline, openFile, readManifest, readTokenizer } from "./core/index.js";
import { VECTOR_FORM } from "./config.js";
import { openModel } from "./runtime.js";

/**
 * @param {{folder: string, download: string, store: import("./core/store.js").CacheStore}} places
 * @param {(step: string, share: number) => void} onProgress
 */
export async function openPipeline({ folder, download, store }, onProgress) {
  const manifest = readManifest(await fetchManifest(`${folder}edgepack.json`));
  const { tokenizer, model } = manifest;
  const kept = new KeptVectors(store, `${model.sha256}-vectors`, manifest.vectorSize ?? 0, VECTOR_FORM);
  await store.keepOnly([tokenizer.sha256, model.sha256, kept.name]);
  onProgress("Reading the tokenizer", 0);
  const words = await openFile(tokenizer, folder + tokenizer.path, store);
  const report = (bytes) =>
    onProgress(`Fetching the model: ${megabytes(bytes)} of ${megabytes(model.bytes)} MB`, bytes / model.bytes);
  const url = (download === "" ? folder : download.replace(/\/*$/, "/")) + model.path;
  const bytes = await openFile(model, url, store, { onProgress: report });
  onProgress("Loading the model", 1);
  return new Pipeline(manifest, await readTokenizer(words), await openModel(bytes, manifest), kept);
}

export function megabytes(bytes) {
  return (bytes / 1e6).toFixed(1);
}

async function fetchManifest(url) {
  let response;
  try {
    response = await fetch(url);
  } catch (error) {
    throw new BundleError(`edgepack.json cannot be fetched (${error.message}); check the connection`, "unreachable");
  }
  if (response.status === 404) {
    throw new BundleError("There is no model in this app; `edgepack package --app web` puts one there", "unsupported");
  }
  if (!response.ok) throw new BundleError(`edgepack.json cannot be fetched (status ${response.status})`, "unreachable");
  return response.text();
}
