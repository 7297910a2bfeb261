// The JavaScript core beside the tokenizer: manifest, decisions, download; run by `node --test`.

import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { readFile } from "node:fs/promises";
import { test } from "node:test";
import { readAsset } from "../../../sample_apps/web/core/asset.js";
import {
  argmax,
  entities,
  isSure,
  labelSet,
  rank,
  readMarks,
  sigmoid,
  softmax,
  tagWords,
} from "../../../sample_apps/web/core/decision.js";
import { canJudge, hypothesis, judge, readEntailment } from "../../../sample_apps/web/core/entailment.js";
import { BundleError } from "../../../sample_apps/web/core/errors.js";
import { openFile } from "../../../sample_apps/web/core/files.js";
import { readManifest, requireRuntime } from "../../../sample_apps/web/core/manifest.js";
import { longestFirst } from "../../../sample_apps/web/core/encoding.js";
import { KeptVectors, cosine, ranked, readList } from "../../../sample_apps/web/core/search.js";
import { readTokenizer } from "../../../sample_apps/web/core/tokenizer.js";
import { windowSpans } from "../../../sample_apps/web/core/windows.js";
import { words } from "../../../sample_apps/web/core/words.js";
import { Pipeline } from "../../../sample_apps/web/core/pipeline.js";

const sha256 = (bytes) => createHash("sha256").update(bytes).digest("hex");

function manifest(changes = {}) {
  const file = (path, shipped) => ({ path, bytes: 5, sha256: "0".repeat(64), shipped });
  return JSON.stringify({
    schema: 1,
    task: "text-classification",
    labels: ["no", "yes"],
    max_length: 64,
    inputs: [{ name: "input_ids" }, { name: "attention_mask" }],
    outputs: [{ name: "logits" }],
    files: [file("onnx/m.onnx", true), file("tokenizer.bin", true), file("golden.jsonl", false)],
    some_newer_key: {},
    ...changes,
  });
}

test("a manifest is read; keys that are not known are left alone", () => {
  const read = readManifest(manifest());
  assert.equal(read.model.path, "onnx/m.onnx");
  assert.equal(read.tokenizer.path, "tokenizer.bin");
  assert.deepEqual(read.inputs, ["input_ids", "attention_mask"]);
  assert.equal(read.pair, false);
});

test("windows are read, and are none where texts are cut", () => {
  assert.equal(readManifest(manifest()).windows, null);
  const windows = { overlap: 16, combine: "max" };
  assert.deepEqual(readManifest(manifest({ windows })).windows, windows);
  assert.throws(() => windowSpans([-1, 0, 0, -1], 2, 0), /no room/);
});

test("a manifest of vectors has their size and no labels", () => {
  const embeds = { task: "feature-extraction", labels: [], vector: { size: 3, normalized: true, judged: "pairs" } };
  assert.equal(readManifest(manifest(embeds)).vectorSize, 3);
  assert.equal(readManifest(manifest()).vectorSize, null);
  for (const [changes, message] of [
    [{ ...embeds, vector: { size: 0 } }, /no size of its vectors/],
    [{ ...embeds, vector: undefined }, /no size of its vectors/],
    [{ ...embeds, labels: ["a"] }, /names no labels/],
    [{ ...embeds, pair: true }, /vectors of pairs/],
    [{ ...embeds, vector: { ...embeds.vector, size: 70000 } }, /from 1 to 65536/],
    [{ ...embeds, vector: { size: 3, judged: "pairs" } }, /damaged record/],
    [{ ...embeds, vector: { ...embeds.vector, judged: "luck" } }, /damaged record/],
    [{ ...embeds, thresholds: [0.5] }, /gives no labels/],
    [{ vector: embeds.vector }, /has vectors, and is for text-classification/],
  ])
    assert.throws(() => readManifest(manifest(changes)), message);
});

/** A store in memory. */
function memory() {
  const files = new Map();
  return { files, read: async (name) => files.get(name) ?? null, write: async (name, bytes) => files.set(name, bytes) };
}

const VECTORS = { up: [0, 2, 0], north: [0, 1, 0], right: [3, 0, 0], "né 😀": [1, 1, 0], nowhere: [0, 0, 0] };

test("vectors are computed once for a text, kept, and gone with it", async () => {
  const store = memory();
  const asked = [];
  const embed = async (text) => (asked.push(text), Float32Array.from(VECTORS[text]));
  const texts = Object.keys(VECTORS);
  const first = await new KeptVectors(store, "m", 3).of(texts, embed);
  assert.deepEqual(asked, texts);
  const again = new KeptVectors(store, "m", 3);
  assert.deepEqual(await again.texts(), texts);
  assert.deepEqual(await again.of(texts, embed), first);
  await again.of(["right", "up"], embed);
  assert.equal(asked.length, texts.length);
  assert.deepEqual(await new KeptVectors(store, "m", 3).texts(), ["right", "up"]);
  assert.deepEqual(await new KeptVectors(store, "other model", 3).texts(), []);
});

test("a form keeps the direction of a vector in fewer bytes", async () => {
  const wave = (step) => Float32Array.from({ length: 19 }, (_, i) => Math.sin(step * i + 0.1));
  const [vector, query] = [wave(1.7), wave(0.4)];
  const kept = {};
  for (const form of ["float32", "int8", "binary"]) {
    const store = memory();
    await new KeptVectors(store, "m", 19, form).of(["a", "b"], async () => vector);
    const again = new KeptVectors(store, "m", 19, form);
    assert.deepEqual(await again.texts(), ["a", "b"]);
    const [found] = await again.of(["a", "b"], () => assert.fail("computed again"));
    kept[form] = { found, bytes: store.files.get(`m-${form}`).length };
    store.files.set(`m-${form}`, store.files.get(`m-${form}`).subarray(0, -1));
    assert.deepEqual(await new KeptVectors(store, "m", 19, form).texts(), []);
  }
  assert.deepEqual(kept.float32.found, vector);
  assert.ok(Math.abs(cosine(query, kept.int8.found) - cosine(query, vector)) < 0.01);
  assert.deepEqual(kept.binary.found, vector.map((value) => (value >= 0 ? 1 : -1)));
  assert.equal(kept.float32.bytes - kept.int8.bytes, 2 * 57);
  assert.equal(kept.float32.bytes - kept.binary.bytes, 2 * 73);
  const zeros = new KeptVectors(memory(), "m", 2, "int8");
  assert.deepEqual(await zeros.of(["a"], async () => new Float32Array(2)), [new Float32Array(2)]);
  assert.throws(() => new KeptVectors(memory(), "m", 2, "float16"), /float16/);
});

test("kept vectors that are cut, altered or of another size count as none", async () => {
  const store = memory();
  const embed = async (text) => Float32Array.from(VECTORS[text]);
  await new KeptVectors(store, "m", 3).of(["up", "right"], embed);
  const whole = store.files.get("m-float32");
  for (const place of whole.keys()) {
    store.files.set("m-float32", whole.with(place, whole[place] ^ 1));
    assert.deepEqual(await new KeptVectors(store, "m", 3).texts(), [], `byte ${place}`);
    store.files.set("m-float32", whole.subarray(0, place));
    assert.deepEqual(await new KeptVectors(store, "m", 3).texts(), [], `${place} bytes`);
  }
  for (const list of ["{", "7", "[1]", '{"length":0}']) {
    const body = Buffer.concat([Buffer.from([list.length, 0, 0, 0]), Buffer.from(list), Buffer.alloc(12)]);
    store.files.set("m-float32", new Uint8Array(Buffer.concat([createHash("sha256").update(body).digest(), body])));
    assert.deepEqual(await new KeptVectors(store, "m", 3).texts(), [], list);
  }
  store.files.set("m-float32", whole);
  assert.deepEqual(await new KeptVectors(store, "m", 4).texts(), []);
  assert.deepEqual(await new KeptVectors(store, "m", 3).texts(), ["up", "right"]);
});

test("calls at once keep the list of the last", async () => {
  const store = memory();
  const slow = async (text) => {
    await new Promise((resolve) => setTimeout(resolve, text === "up" ? 20 : 0));
    return Float32Array.from(VECTORS[text]);
  };
  const kept = new KeptVectors(store, "m", 3);
  await Promise.all([kept.of(["up"], slow), kept.of(["right"], slow)]);
  assert.deepEqual(await new KeptVectors(store, "m", 3).texts(), ["right"]);
});

test("a vector of another length than the manifest's is refused", () => {
  const embeds = { task: "feature-extraction", labels: [], vector: { size: 3, normalized: true, judged: "pairs" } };
  const pipeline = new Pipeline(readManifest(manifest(embeds)), null, null, null);
  assert.deepEqual([...pipeline.decide("", null, [1, 2, 3]).vector], [1, 2, 3]);
  for (const count of [2, 4])
    assert.throws(() => pipeline.decide("", null, new Array(count).fill(0)), /gives . numbers, not 3/);
});

test("prompts stand before a search's query and its texts", async () => {
  const vector = { size: 2, normalized: true, judged: "pairs", query_prompt: "q: ", text_prompt: "t: " };
  const embeds = readManifest(manifest({ task: "feature-extraction", labels: [], vector }));
  assert.deepEqual(embeds.prompts, { query: "q: ", text: "t: " });
  const asked = [];
  const tokenizer = { data: {}, encode: (text) => ({ text, inputIds: [0], offsets: [0, 0], sequences: [null] }) };
  const model = { run: async ({ text }) => (asked.push(text), Float32Array.of(text.length, 1)) };
  const kept = new KeptVectors(memory(), "m", 2);
  const { found } = await new Pipeline(embeds, tokenizer, model, kept).rank("one", ["two", "t: three"]);
  assert.deepEqual(asked, ["q: one", "t: two", "t: three"]);
  assert.deepEqual(found.map(({ text }) => text), ["two", "t: three"]);
  assert.deepEqual(await kept.texts(), ["two", "t: three"]);
  assert.deepEqual(readManifest(manifest({})).prompts, { query: "", text: "" });
  const wrong = manifest({ task: "feature-extraction", labels: [], vector: { ...vector, text_prompt: 3 } });
  assert.throws(() => readManifest(wrong), /prompts that are no text/);
});

test("texts are ranked by cosine, equal ones as they were given", () => {
  const of = (text) => Float32Array.from(VECTORS[text]);
  const texts = ["right", "né 😀", "nowhere", "north"];
  const found = ranked(texts, texts.map((text) => cosine(of("up"), of(text))));
  assert.deepEqual(found.map(({ text }) => text), ["north", "né 😀", "right", "nowhere"]);
  assert.ok(Math.abs(found[1].score - Math.SQRT1_2) < 1e-6);
  assert.deepEqual(readList(" a \n\nb\r\na\n "), ["a", "b"]);
});

test("what is no manifest of this version says so", () => {
  for (const [text, message] of [
    ["", /is not a manifest/],
    ["null", /is not a manifest/],
    [manifest({ schema: 2 }), /schema 2, this app reads 1/],
    [manifest({ task: "translation" }), /is for translation/],
    [manifest({ labels: [] }), /no labels/],
    [manifest({ max_length: "64" }), /no maximum length/],
    [manifest({ files: [{ path: "x" }] }), /damaged list/],
    [manifest({ files: [{ path: "../x", bytes: 1, sha256: "0".repeat(64), shipped: true }] }), /damaged list/],
    [manifest({ files: [] }), /does not name a model/],
    [manifest({ windows: { overlap: 33, combine: "mean" } }), /from 0 to half/],
    [manifest({ windows: { overlap: -1, combine: "mean" } }), /from 0 to half/],
    [manifest({ windows: { overlap: 1.5, combine: "mean" } }), /from 0 to half/],
    [manifest({ windows: { overlap: 1e300, combine: "mean" } }), /from 0 to half/],
    [manifest({ windows: { overlap: 4, combine: "inner" } }), /combined by inner/],
    [manifest({ windows: 3 }), /from 0 to half/],
  ]) {
    assert.throws(
      () => readManifest(text),
      (error) => error instanceof BundleError && message.test(error.message),
      text,
    );
  }
});

test("a model that needs a newer runtime is refused", () => {
  const needs = (version) => readManifest(manifest({ runtime: { name: "onnxruntime-web", min_version: version } }));
  for (const [oldest, found] of [["1.16", "1.9"], ["1.16.1", "1.16"], ["2", "1.30.0"]]) {
    const message = new RegExp(`needs onnxruntime-web ${oldest}, this page has ${found}`);
    assert.throws(() => requireRuntime(needs(oldest), found), (error) => error instanceof BundleError && message.test(error.message));
    requireRuntime(needs(found), oldest);
  }
  requireRuntime(needs("1.16"), undefined); // a runtime that does not say
  requireRuntime(readManifest(manifest()), "1.16"); // nor a bundle
});

test("softmax and rank", () => {
  assert.deepEqual(softmax([1000, 1000]), [0.5, 0.5]);
  assert.deepEqual(softmax([4, 2, 0], 2), softmax([2, 1, 0])); // a temperature divides the logits
  assert.deepEqual(rank([2, 0], ["a", "b"], 2), rank([1, 0], ["a", "b"]));
  const [first, second] = softmax([Math.log(3), 0]);
  assert.ok(Math.abs(first - 0.75) < 1e-12 && Math.abs(second - 0.25) < 1e-12);
  assert.deepEqual(
    rank([0, 5], ["no", "yes"]).map(({ label }) => label),
    ["yes", "no"],
  );
  assert.equal(argmax([1, 3, 3]), 1);
});

test("label sets: thresholds in the manifest, all labels at theirs or above", () => {
  const sets = { problem: "multi_label_classification", thresholds: [0.5, 0.6] };
  assert.deepEqual(readManifest(manifest(sets)).thresholds, [0.5, 0.6]);
  assert.equal(readManifest(manifest()).thresholds, null);
  for (const wrong of [
    { thresholds: null },
    { thresholds: [0.5] },
    { thresholds: [0, 0.5] },
    { thresholds: [0.5, 1] },
    { thresholds: ["0.5", 0.5] },
    { problem: "ranking" },
    { task: "token-classification" },
  ]) {
    assert.throws(() => readManifest(manifest({ ...sets, ...wrong })), BundleError, JSON.stringify(wrong));
  }
  assert.deepEqual([sigmoid(0), sigmoid(-1000), sigmoid(1000)], [0.5, 0, 1]);
  const answered = (logits) =>
    labelSet(logits, ["no", "yes"], [0.5, 0.6])
      .filter((found) => found.answered)
      .map(({ label }) => label);
  assert.deepEqual(answered([0, 2]), ["yes", "no"]);
  assert.deepEqual(answered([-1, 0.4]), []);
});

test("entities follow CoNLL's rule", () => {
  const spans = (...labels) => {
    const found = labels.map((_, i) => ({ start: 10 * i, end: 10 * i + 5 }));
    const tags = readMarks(labels, "BIO").map((mark, i) => ({ mark, probability: 1 - i / 10 }));
    return entities(found, tags).map(({ type, start, end, probability }) => [type, start, end, probability]);
  };
  assert.deepEqual(spans("O", "O"), []);
  assert.deepEqual(spans("B-city", "I-city", "O"), [["city", 0, 15, 0.9]]);
  assert.deepEqual(spans("B-city", "B-city"), [
    ["city", 0, 5, 1],
    ["city", 10, 15, 0.9],
  ]);
  assert.deepEqual(spans("I-city", "I-date", "I-date"), [
    ["city", 0, 5, 1],
    ["date", 10, 25, 0.8],
  ]);
  assert.deepEqual(spans("I-a", "O", "I-a"), [
    ["a", 0, 5, 1],
    ["a", 20, 25, 0.8],
  ]);
});

test("tags of every scheme are read as by the reference", async () => {
  const text = await readFile(new URL("../entities.jsonl", import.meta.url), "utf8");
  const lines = text.trim().split("\n");
  assert.ok(lines.length > 100);
  for (const line of lines) {
    const { scheme, labels, tags, entities: expected } = JSON.parse(line);
    const marks = readMarks(labels, scheme);
    const found = entities(
      tags.map((_, i) => ({ start: i, end: i + 1 })),
      tags.map((tag, i) => ({ mark: marks[tag], probability: 1 / (i + 2) })),
    );
    assert.deepEqual(
      found.map(({ type, start, end }) => [type, start, end]),
      expected,
      line,
    );
    for (const { end, probability } of found) assert.equal(probability, 1 / (end + 1));
  }
});

test("decisions are the reference's: when a model is sure, and how labels of one's own are judged", async () => {
  const text = await readFile(new URL("../decisions.jsonl", import.meta.url), "utf8");
  const lines = text.trim().split("\n").map((line) => JSON.parse(line));
  const close = (found, expected) => assert.ok(Math.abs(found - expected) < 1e-9, `${found} for ${expected}`);
  for (const { logits, temperature, min_confidence, label, probability, sure } of lines.filter(({ logits }) => logits)) {
    const ranked = rank(
      logits,
      logits.map((_, i) => i),
      temperature,
    );
    assert.equal(ranked[0].label, label);
    close(ranked[0].probability, probability);
    assert.equal(isSure(ranked, min_confidence), sure);
  }
  for (const { classes, rows, multi_label, scores } of lines.filter((line) => line.classes)) {
    const judged = readEntailment(readManifest(manifest({ pair: true, labels: classes })));
    const found = judge(
      rows,
      scores.map((_, i) => i),
      judged,
      multi_label,
    );
    for (const { label, probability } of found) close(probability, scores[label]);
  }
  assert.ok(lines.length > 100);
});

const tags = (changes) => manifest({ task: "token-classification", labels: ["O", "B-x", "I-x"], ...changes });

test("a chain decides the tags of a text's words together", () => {
  const { chain, labels } = readManifest(tags({ chain: { unseen: -5, pairs: ["0 1 2.0", "1 2 2.0", "3 0 0", "2 3 0"] } }));
  assert.equal(readManifest(tags()).chain, null);
  const marks = readMarks(labels, "BIO");
  const found = [{ first: 1 }, { first: 2 }, { first: 3 }];
  const logits = Float32Array.of(0, 0, 9, 1, 0, 0, 0.5, 0, 0, 0, 0, 1, 9, 0, 0); // tokens × tags
  const kinds = (chain) => tagWords(found, logits, marks, 1, chain).map(({ mark }) => marks.indexOf(mark));
  assert.deepEqual(kinds(null), [0, 0, 2]);
  assert.deepEqual(kinds(chain), [0, 1, 2]);
  assert.deepEqual(tagWords([], logits, marks, 1, chain), []);
});

test("tags of chains are the reference's, and a damaged chain is refused", async () => {
  const text = await readFile(new URL("../chains.jsonl", import.meta.url), "utf8");
  const lines = text.trim().split("\n").map((line) => JSON.parse(line));
  for (const { count, temperature, firsts, logits, ...line } of lines) {
    const labels = Array.from({ length: count }, (_, i) => `B-${i}`);
    const read = () => readManifest(tags({ labels, temperature, chain: JSON.parse(line.chain) }));
    if (line.tags === undefined) {
      assert.throws(read, (error) => error instanceof BundleError && /chain/.test(error.message), line.chain);
      continue;
    }
    const { chain, ...rest } = read();
    const found = firsts.map((first) => ({ first }));
    const decided = tagWords(found, Float32Array.from(logits.flat()), readMarks(labels, "BIO"), rest.temperature, chain);
    assert.deepEqual(
      decided.map(({ mark }) => Number(mark.kind)),
      line.tags,
    );
    decided.forEach(({ probability }, i) => assert.ok(Math.abs(probability - line.probabilities[i]) < 1e-9));
  }
  assert.equal(lines.filter((line) => line.tags).length, 30);
  const chain = { unseen: -5, pairs: [] };
  assert.throws(() => readManifest(manifest({ chain })), /has a chain of tags, and is for text-classification/);
});

test("entailment is found by name alone", () => {
  const read = (changes) => readEntailment(readManifest(manifest({ pair: true, ...changes })));
  for (const labels of [["yes", "maybe", "no"], ["entailment", "Entailment"], ["a", "b", "c", "entailment"]])
    assert.equal(read({ labels }), null);
  assert.equal(read({ pair: false, labels: ["entailment", "no"] }), null);
  const half = read({ labels: ["neutral", "entailment", "other"] });
  assert.deepEqual([canJudge(half, 2, false), canJudge(half, 1, false), canJudge(half, 2, true)], [true, false, false]);
  assert.deepEqual(readList(" a\n\nb c\na "), ["a", "b c"]);
  assert.equal(hypothesis("sports"), "This example is sports.");
});

test("a least confidence is above 0 and below 1", () => {
  assert.equal(readManifest(manifest()).minConfidence, null);
  assert.equal(readManifest(manifest({ min_confidence: 0.4 })).minConfidence, 0.4);
  for (const min_confidence of [0, 1, "0.5"]) assert.throws(() => readManifest(manifest({ min_confidence })), BundleError);
});

test("a tag of another scheme is refused", () => {
  for (const label of ["PER", "b", "", "X-PER", "B-"]) assert.throws(() => readMarks([label], "BIO"), BundleError, label);
  assert.throws(() => readManifest(manifest({ tag_scheme: "BIOX" })), BundleError);
  assert.equal(readManifest(manifest({ tag_scheme: "IOBES" })).tagScheme, "IOBES");
  assert.equal(readManifest(manifest()).tagScheme, "BIO");
});

// TOKENIZER: the tokenizer.bin that tests/apps/test_javascript.py makes
test(
  "words stand between spaces; punctuation at their ends and ideographs are their own",
  { skip: !process.env.TOKENIZER },
  async () => {
    const tokenizer = await readTokenizer(new Uint8Array(await readFile(process.env.TOKENIZER)));
    const split = (text) =>
      words(tokenizer, text, tokenizer.encode(text)).map(({ start, end }) => text.slice(start, end));
    assert.deepEqual(split("Fly to  Paris, please."), ["Fly", "to", "Paris", ",", "please", "."]);
    assert.deepEqual(split("don't (at o'clock)"), ["don't", "(", "at", "o'clock", ")"]);
    assert.deepEqual(split("中文ab 中"), ["中", "文", "ab", "中"]);
    assert.deepEqual(split("a\u0000b 😀!"), ["a\u0000b", "😀", "!"]);
    assert.deepEqual(split("...\u3000x"), [".", ".", ".", "x"]);
    assert.deepEqual(split(" "), []);
    const encoding = tokenizer.encode("movies goods");
    assert.deepEqual(
      words(tokenizer, "movies goods", encoding).map(({ first }) => first),
      [1, 3],
    );
  },
);

test("a pipeline decides by the manifest's chain", { skip: !process.env.TOKENIZER }, async () => {
  const tokenizer = await readTokenizer(new Uint8Array(await readFile(process.env.TOKENIZER)));
  const flat = { run: async ({ inputIds }) => Float32Array.from(inputIds.flatMap(() => [0.5, 0, 0])) };
  const spans = async (changes) => {
    const { entities } = await new Pipeline(readManifest(tags(changes)), tokenizer, flat).answer("so good");
    return entities.map(({ type, start, end }) => [type, start, end]);
  };
  assert.deepEqual(await spans({}), []);
  const pairs = ["3 1 3.0", "1 2 3.0", "2 3 3.0"];
  assert.deepEqual(await spans({ chain: { unseen: -5, pairs } }), [["x", 0, 7]]);
});

test("a lone surrogate counts as the replacement character", { skip: !process.env.TOKENIZER }, async () => {
  const tokenizer = await readTokenizer(new Uint8Array(await readFile(process.env.TOKENIZER)));
  for (const text of ["a\ud800b", "\udc00", "a\udc00", "😀\ud83d"]) {
    const [lone, replaced] = [tokenizer.encode(text), tokenizer.encode(text.replace(/\p{Surrogate}/gu, "\ufffd"))];
    assert.deepEqual(lone, replaced, JSON.stringify(text));
  }
});

test("the longer text is cut first", () => {
  for (let first = 0; first < 8; first++) {
    for (let second = 0; second < 8; second++) {
      for (let room = 0; room < 12; room++) {
        const [a, b] = longestFirst(first, second, room);
        assert.ok(a <= first && b <= second && a + b === Math.min(room, first + second), `${first} ${second} ${room}`);
      }
    }
  }
  assert.deepEqual(longestFirst(10, 2, 6), [4, 2]);
  assert.deepEqual(longestFirst(10, 9, 7), [4, 3]);
  assert.deepEqual(longestFirst(9, 10, 7), [3, 4]);
});

test("what is no tokenizer is an error of its own kind", async () => {
  const magic = [0x45, 0x50, 0x54, 0x4b];
  for (const bytes of [
    [],
    [1, 2, 3],
    [...magic, 9],
    [...magic, 1],
    [...magic, 2],
    [...magic, 1, 255, 0, 0, 0, 1],
    [...magic, 1, 1, 0, 0, 0, 7],
    [...magic, 2, 1, 0, 0, 0, 7],
  ]) {
    await assert.rejects(readAsset(new Uint8Array(bytes)), BundleError);
  }
  await assert.rejects(readAsset(new Uint8Array([...magic, 3])), isMessage(/version 3.* reads 1 and 2$/, "unsupported"));
});

// Download: a server and a store made of a few lines.

const BYTES = new Uint8Array(1_300_000).map((_, i) => (i * 31 + (i >> 8)) % 251);
const RECORD = { path: "m.onnx", bytes: BYTES.length, sha256: sha256(BYTES), shipped: true };

class MapStore extends Map {
  async read(name) {
    return this.get(name) ?? null;
  }
  async write(name, bytes) {
    this.set(name, bytes);
  }
  async remove(name) {
    this.delete(name);
  }
}

/** Answers requests in turn: `ranges` whether it knows them, `breaks` after how many bytes each answer fails. */
function server(bytes, { ranges = true, breaks = [], statuses = [] } = {}) {
  const requests = [];
  const fetch = async (url, { headers }) => {
    const from = ranges && headers.Range ? Number(/^bytes=(\d+)-$/.exec(headers.Range)[1]) : 0;
    requests.push(from);
    const turn = requests.length - 1;
    const status = statuses[turn] ?? (from > 0 ? 206 : 200);
    const end = breaks[turn] ?? Infinity;
    const body = new ReadableStream(
      {
        async pull(controller) {
          for (let at = from; at < Math.min(bytes.length, end); at += 100_000) {
            controller.enqueue(bytes.slice(at, Math.min(at + 100_000, bytes.length, end)));
            await new Promise((resolve) => setTimeout(resolve));
          }
          if (end < bytes.length) controller.error(new TypeError("connection lost"));
          else controller.close();
        },
      },
      { highWaterMark: 0 },
    );
    return new Response(status === 200 || status === 206 ? body : null, {
      status,
      headers: from > 0 ? { "Content-Range": `bytes ${from}-${bytes.length - 1}/${bytes.length}` } : {},
    });
  };
  return { fetch, requests, wait: async () => {} };
}

const isMessage = (pattern, kind) => (error) =>
  error instanceof BundleError && pattern.test(error.message) && error.kind === kind;

test("a file is fetched once, hashed and kept; afterwards only its length is compared", async () => {
  const [store, web] = [new MapStore(), server(BYTES)];
  const progress = [];
  const options = { ...web, onProgress: (bytes) => progress.push(bytes) };
  assert.deepEqual(await openFile(RECORD, "u", store, options), BYTES);
  assert.deepEqual([...store.keys()], [RECORD.sha256]);
  assert.equal(progress.at(-1), BYTES.length);
  assert.deepEqual(await openFile(RECORD, "u", store, options), BYTES);
  assert.deepEqual(web.requests, [0]);
  store.set(RECORD.sha256, BYTES.slice(1)); // cut short on disk
  assert.deepEqual(await openFile(RECORD, "u", store, options), BYTES);
  assert.deepEqual(web.requests, [0, 0]);
});

test("a connection that fails is taken up where it was", async () => {
  const [store, web] = [new MapStore(), server(BYTES, { breaks: [700_000, 900_000] })];
  assert.deepEqual(await openFile(RECORD, "u", store, web), BYTES);
  assert.deepEqual(web.requests, [0, 700_000, 900_000]);
  assert.deepEqual([...store.keys()], [RECORD.sha256]);
});

test("failures do not add up while the file grows", async () => {
  const breaks = [200_000, 400_000, 600_000, 800_000, 1_000_000, 1_200_000];
  const [store, web] = [new MapStore(), server(BYTES, { breaks })];
  assert.deepEqual(await openFile(RECORD, "u", store, web), BYTES);
  assert.deepEqual(web.requests, [0, ...breaks]);
});

test("a later start goes on with the parts that an earlier one left", async () => {
  const store = new MapStore();
  const offline = server(BYTES, { breaks: [700_000, 0, 0, 0, 0] });
  await assert.rejects(openFile(RECORD, "u", store, offline), isMessage(/cannot be fetched/, "unreachable"));
  const web = server(BYTES);
  assert.deepEqual(await openFile(RECORD, "u", store, web), BYTES);
  assert.deepEqual(web.requests, [700_000]);
});

test("a server without ranges sends all of it again", async () => {
  const [store, web] = [new MapStore(), server(BYTES, { ranges: false, breaks: [700_000] })];
  assert.deepEqual(await openFile(RECORD, "u", store, web), BYTES);
  assert.deepEqual(web.requests, [0, 0]);
});

test("parts of an older file are found out by the hash and fetched again", async () => {
  const [store, web] = [new MapStore(), server(BYTES)];
  store.set(`${RECORD.sha256}.part0`, new Uint8Array(600_000));
  assert.deepEqual(await openFile(RECORD, "u", store, web), BYTES);
  assert.deepEqual(web.requests, [600_000, 0]);
});

test("an altered, a shorter and a longer file are refused and nothing of them stays", async () => {
  const altered = BYTES.slice();
  altered[1_000_000] ^= 1;
  for (const [bytes, message] of [
    [altered, /is not the one/],
    [BYTES.slice(0, -1), /is not the one/],
    [new Uint8Array([...BYTES, 0]), /is not the one .* longer/],
  ]) {
    const store = new MapStore();
    await assert.rejects(openFile(RECORD, "u", store, server(bytes)), isMessage(message, "damaged"));
    assert.equal(store.size, 0);
  }
});

test("a busy server is asked again, one that has no such file is not", async () => {
  const busy = server(BYTES, { statuses: [503, 429] });
  assert.deepEqual(await openFile(RECORD, "u", new MapStore(), busy), BYTES);
  assert.equal(busy.requests.length, 3);
  const missing = server(BYTES, { statuses: [404] });
  await assert.rejects(
    openFile(RECORD, "u", new MapStore(), missing),
    isMessage(/not on the server \(status 404\)/, "unreachable"),
  );
  assert.equal(missing.requests.length, 1);
});
