// Reads edgepack.json, the bundle's manifest: what the model is for, and size and sha256 of each file.

import { chainOf } from "./chain.js";
import { BundleError } from "./errors.js";

const SCHEMA = 1;
const EMBEDS = "feature-extraction";
const TASKS = ["text-classification", "token-classification", EMBEDS];
const TAG_SCHEMES = ["BIO", "IOB1", "IO", "IOBES", "BILOU", "types", "plain"];
const JUDGED = ["pairs", "queries", "teacher"]; // what a metric of vectors is by
const MOST_NUMBERS = 65536; // of a vector
const SETS = "multi_label_classification";
const SCORES = "regression";
const ACTIVATIONS = ["identity", "sigmoid"];
const TOKENIZER = "tokenizer.bin";

/**
 * @typedef {{path: string, bytes: number, sha256: string, shipped: boolean}} FileRecord
 * @typedef {object} Manifest
 * @property {"text-classification" | "token-classification" | "feature-extraction"} task
 * @property {boolean} pair whether the model takes two texts
 * @property {string[]} labels by class
 * @property {string} tagScheme what labels of words mean as tags
 * @property {import("./chain.js").Chain | null} chain what decides a text's tags together; null: each word by itself
 * @property {number[] | null} thresholds by class, where a text has a set of labels; null where it has one
 * @property {"identity" | "sigmoid" | null} activation what makes the logit a score; null where there are labels
 * @property {number | null} vectorSize numbers that a text becomes; null where it gets an answer
 * @property {{query: string, text: string}} prompts what stands before a search's query and before its texts
 * @property {number} maxLength in tokens
 * @property {import("./windows.js").Windows | null} windows how longer texts are read whole; null where they are cut
 * @property {number} temperature what logits are divided by before they become probabilities
 * @property {number | null} minConfidence the probability below which the model is not sure; null: it always is
 * @property {string[]} inputs the model's inputs
 * @property {string} output the name of the logits
 * @property {string} oldestRuntime the oldest version of onnxruntime-web that runs the model
 * @property {FileRecord} model
 * @property {FileRecord} tokenizer
 * @property {object} document all of it, for what only people read
 */

/**
 * @param {string} text the file's text
 * @returns {Manifest}
 */
export function readManifest(text) {
  const document = parse(text);
  check(document.schema === SCHEMA, `has schema ${document.schema}, this app reads ${SCHEMA}`, "unsupported");
  check(TASKS.includes(document.task), `is for ${document.task}, this app does ${TASKS.join(" and ")}`, "unsupported");
  const vectorSize = readVectorSize(document);
  check(isList(document.labels, "string") && document.labels.length > 0 === (vectorSize === null), "names no labels");
  const activation = readActivation(document);
  const thresholds = activation === null ? readThresholds(document) : null;
  check(Number.isInteger(document.max_length) && document.max_length > 0, "names no maximum length");
  const windows = readWindows(document);
  const tagScheme = document.tag_scheme ?? TAG_SCHEMES[0];
  check(TAG_SCHEMES.includes(tagScheme), `has tags of ${tagScheme}, this app reads ${TAG_SCHEMES.join(", ")}`, "unsupported");
  const chain = readChain(document);
  const temperature = document.temperature ?? 1;
  check(Number.isFinite(temperature) && temperature > 0, "has a temperature that is no positive number");
  const minConfidence = document.min_confidence ?? null;
  const share = typeof minConfidence === "number" && minConfidence > 0 && minConfidence < 1;
  check(minConfidence === null || share, "has a min_confidence that is no number above 0 and below 1");
  check(Array.isArray(document.files) && document.files.every(isRecord), "has a damaged list of files");
  check(Array.isArray(document.inputs) && Array.isArray(document.outputs), "names no inputs or outputs");
  const shipped = document.files.filter((file) => file.shipped);
  const tokenizer = shipped.find((file) => file.path === TOKENIZER);
  const model = shipped.find((file) => file.path !== TOKENIZER);
  check(
    tokenizer !== undefined && model !== undefined && shipped.length === 2,
    "does not name a model and a tokenizer.bin",
  );
  return {
    task: document.task,
    pair: document.pair === true,
    labels: document.labels,
    tagScheme,
    chain,
    thresholds,
    activation,
    vectorSize,
    prompts: readPrompts(document),
    maxLength: document.max_length,
    windows,
    temperature,
    minConfidence,
    oldestRuntime: String(document.runtime?.min_version ?? ""),
    inputs: document.inputs.map((input) => input.name),
    output: document.outputs[0]?.name ?? "logits",
    model,
    tokenizer,
    document,
  };
}

/**
 * Refuses a model that needs a newer runtime.
 * @param {Manifest} manifest
 * @param {string | undefined} version the runtime's own, where it says one
 */
export function requireRuntime(manifest, version) {
  const found = numbers(version ?? "");
  const oldest = numbers(manifest.oldestRuntime);
  const places = Array.from({ length: Math.max(found.length, oldest.length) }, (_, place) => place);
  const other = places.find((place) => (found[place] ?? 0) !== (oldest[place] ?? 0));
  const isOlder = other !== undefined && (found[other] ?? 0) < (oldest[other] ?? 0);
  check(found.length === 0 || !isOlder, `needs onnxruntime-web ${manifest.oldestRuntime}, this page has ${version}`, "unsupported");
}

function numbers(version) {
  return (version.match(/\d+/g) ?? []).map(Number);
}

function parse(text) {
  try {
    const document = JSON.parse(text);
    if (document !== null && typeof document === "object") return document;
  } catch {
    // told below
  }
  throw new BundleError("edgepack.json is not a manifest");
}

/** How many numbers a text becomes; null where the task is another. */
function readVectorSize({ task, pair, vector, windows, thresholds }) {
  if (task !== EMBEDS) {
    check((vector ?? null) === null, `has vectors, and is for ${task}`);
    return null;
  }
  const fits = Number.isInteger(vector?.size) && vector.size > 0 && vector.size <= MOST_NUMBERS;
  check(fits, `names no size of its vectors from 1 to ${MOST_NUMBERS}`);
  check(typeof vector.normalized === "boolean" && JUDGED.includes(vector.judged), "has a damaged record of its vectors");
  check(pair !== true && (windows ?? null) === null, "has vectors of pairs, or of windows", "unsupported");
  check((thresholds ?? null) === null, "has thresholds, and gives no labels");
  return vector.size;
}

/** What a search writes before its query and before its texts. */
function readPrompts({ vector }) {
  const { query_prompt: query = "", text_prompt: text = "" } = vector ?? {};
  check(typeof query === "string" && typeof text === "string", "has prompts that are no text");
  return { query, text };
}

/** What makes the logit a score; null where texts, or words, have labels. */
function readActivation({ task, problem, labels, activation }) {
  if (problem !== SCORES) return null;
  check(task === TASKS[0] && labels.length === 1, "has a score that is not of a text, or more than one");
  const found = activation ?? ACTIVATIONS[0];
  check(ACTIVATIONS.includes(found), `makes a score by ${found}, this app by ${ACTIVATIONS.join(" and ")}`, "unsupported");
  return found;
}

/** The thresholds of label sets; null where a text, or a word, has one label. */
function readThresholds({ task, problem, labels, thresholds }) {
  if (problem === undefined || problem === null) return null;
  check(problem === SETS && task === TASKS[0], `is for ${problem} of ${task}, which this app does not do`, "unsupported");
  const fit = isList(thresholds, "number") && thresholds.length === labels.length;
  check(fit && thresholds.every((limit) => limit > 0 && limit < 1), "names no threshold above 0 and below 1 for each label");
  return thresholds;
}

/** What decides the tags of a text's words together; null where each word is decided by itself. */
function readChain({ task, labels, chain }) {
  if (chain === undefined || chain === null) return null;
  check(task === TASKS[1], `has a chain of tags, and is for ${task}`);
  const { unseen, pairs } = chain;
  check(Number.isFinite(unseen) && isList(pairs, "string"), "has a chain without pairs, or whose unseen is no number");
  return chainOf(unseen, pairs, labels.length);
}

/** How long texts are read; null where they are cut. */
function readWindows({ task, max_length: maxLength, windows }) {
  if (windows === undefined || windows === null) return null;
  const { overlap, combine } = windows;
  const fits = Number.isInteger(overlap) && overlap >= 0 && overlap <= maxLength / 2;
  check(fits, "has windows whose overlap is not from 0 to half of the maximum length");
  const known = task === TASKS[1] ? combine === "inner" : combine === "mean" || combine === "max";
  check(known, `has windows of ${task} that are combined by ${combine}`, "unsupported");
  return { overlap, combine };
}

function check(holds, message, kind) {
  if (!holds) throw new BundleError(`edgepack.json ${message}`, kind);
}

function isList(value, type) {
  return Array.isArray(value) && value.every((item) => typeof item === type);
}

function isRecord(file) {
  return (
    typeof file?.path === "string" &&
    Number.isInteger(file.bytes) &&
    file.bytes >= 0 &&
    /^[0-9a-f]{64}$/.test(file.sha256) &&
    !file.path.split("/").includes("..")
  );
}
