// What a program that uses the core needs of it.

export { BundleError } from "./errors.js";
export { Pipeline } from "./pipeline.js";
export { canJudge } from "./entailment.js";
export { openFile } from "./files.js";
export { readManifest, requireRuntime } from "./manifest.js";
export { CacheStore } from "./store.js";
export { KeptVectors, readList } from "./search.js";
export { readTokenizer } from "./tokenizer.js";
export { MOSTLY } from "./unknown.js";
export { words } from "./words.js";
