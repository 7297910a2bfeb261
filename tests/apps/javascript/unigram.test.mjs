// Unigram by a few pieces, written here: which split is taken, what each step of a normalizer does to letters and their
// offsets, and what damaged files say.

import assert from "node:assert/strict";
import { test } from "node:test";
import { readTokenizer } from "../../../sample_apps/web/core/tokenizer.js";
import { folds, isDamage, numbers, packed, points, ranges, signed, steps, string } from "./streams.mjs";

const PIECES = {
  "<unk>": 0,
  "▁": -3,
  a: -1,
  ab: -2,
  abc: -2.5,
  b: -1,
  "\u00e9": -1,
  "<0xC3>": -9,
  "<0xB1>": -9,
  '"': -1,
};
const METASPACE = [...numbers(3), ...string("▁"), ...numbers(2, 1)]; // always, and split
const CLASSES = [points("\t\n "), points('".,'), points("\u4e2d")];

/** The lowest bytes of all scores, then the next ones. */
function planes(scores) {
  const bytes = scores.map((score) => new Uint8Array(Float32Array.of(score).buffer));
  return [0, 1, 2, 3].flatMap((plane) => bytes.map((each) => each[plane]));
}

function streams({ flags = 0, unknown = 0, size = 20, splitting = [], added = [], scores, normalizer = [] } = {}) {
  const pieces = Object.keys(PIECES);
  const tokens = added.flatMap(([id, flag, content]) => [...numbers(id, flag), ...string(content)]);
  const template = [...numbers(1, 1, 0, 0), ...numbers(2, 1, 0, 0, 2, 0, 0)];
  const header = numbers(2, flags, size, pieces.length, unknown, splitting.length);
  return [
    [...header, ...splitting.flat(), ...numbers(added.length), ...tokens, ...template],
    pieces.flatMap((piece) => [0, ...numbers(Buffer.byteLength(piece))]),
    [...Buffer.from(pieces.join(""))],
    planes(scores ?? Object.values(PIECES)),
    CLASSES.flatMap(ranges),
    ...(normalizer.length > 0 ? [[...numbers(normalizer.length), ...normalizer.flat()]] : []),
  ];
}

/** Tokens with their offsets; `#n` is an added one. */
async function tokens(text, options) {
  const { inputIds, offsets } = (await readTokenizer(packed(streams(options)))).encode(text);
  const spelled = Object.keys(PIECES);
  return inputIds.map((id, i) => `${spelled[id] ?? `#${id}`} ${offsets[2 * i]}-${offsets[2 * i + 1]}`);
}

const COMPOSE = [
  ...numbers(1, 1),
  ...folds(["\u00c9", "E\u0301"], ["\u00e9", "e\u0301"]),
  ...numbers(2, 0x301, 0x22, 2, 1), // ranks of an acute accent and of a dot below
  ...numbers(2),
  ...steps([0xc9, 0xe9]),
  ...steps([0x45, 0x65], signed),
  ...steps([0x301, 0x301], signed),
];
const LOWER = [...numbers(2), ...folds(["A", "a"], ["E", "e"], ["\u00ad", ""], ["\u0130", "aa"])];
const QUOTES = [...numbers(4), ...string("``"), ...string('"')];
const RUNS = [...numbers(5), ...ranges([0x20]), ...numbers(2), ...ranges(points("\n")), ...string("a")];
const STRIP = [...numbers(6, 3), ...ranges(points(" \n"))];
const key = (text) => {
  const letters = Array.from(text, (letter) => letter.codePointAt(0));
  return [...numbers(letters.length), ...steps(letters, signed)];
};
const characterMap = (...longer) => [
  ...numbers(3, 0),
  ...ranges([0x301]), // extends a cluster
  ...Array(9).fill(0),
  ...folds(["\ufb01", "ab"], ["\ufeff", ""]),
  ...numbers(longer.length / 2), // keys and their values
  ...longer.flatMap((text) => key(text)),
];

test("the highest sum is taken, of equal ones the piece that begins earlier", async () => {
  assert.deepEqual(await tokens("ab"), ["ab 0-2"]); // -2, and so are a and b
  assert.deepEqual(await tokens("abab"), ["ab 0-2", "ab 2-4"]);
  assert.deepEqual(await tokens("aabc"), ["a 0-1", "abc 1-4"]);
});

test("unknown letters are one token, or their bytes where all are there", async () => {
  assert.deepEqual(await tokens("axyb"), ["a 0-1", "<unk> 1-3", "b 3-4"]);
  assert.deepEqual(await tokens("\u{1f600}x"), ["<unk> 0-3"]);
  assert.deepEqual(await tokens("a\u00f1", { flags: 1 }), ["a 0-1", "<0xC3> 1-2", "<0xB1> 1-2"]);
  assert.deepEqual(await tokens("\u00f1x", { flags: 1 }), ["<unk> 0-2"]);
  assert.deepEqual(await tokens("<unk>"), ["<unk> 0-5"]);
});

test("spaces are dropped, marks stand alone, Metaspace puts its letter first", async () => {
  const splitting = [numbers(1), numbers(2), METASPACE];
  assert.deepEqual(await tokens(" a\tb", { splitting }), ["▁ 1-2", "a 1-2", "▁ 3-4", "b 3-4"]);
  assert.deepEqual(await tokens('a"', { splitting }), ["▁ 0-1", "a 0-1", "▁ 1-2", '" 1-2']);
  assert.deepEqual(await tokens("a b", { splitting: [METASPACE], flags: 2 }), ["▁ 0-1", "a 0-1", "▁ 1-2", "b 2-3"]);
});

test("each step of a normalizer moves offsets as the reference does", async () => {
  const after = (text, ...normalizer) => tokens(text, { normalizer });
  assert.deepEqual(await after("a``b", QUOTES), ["a 0-1", '" 2-3', "b 3-4"]);
  assert.deepEqual(await after("b   b\nb b", RUNS), ["b 0-1", "ab 3-5", "ab 5-7", "<unk> 7-8", "b 8-9"]);
  assert.deepEqual(await after(" \nab ", STRIP), ["ab 2-4"]);
  assert.deepEqual(await after("\u00adA\u00adB\u0130", LOWER), ["a 1-2", "<unk> 3-4", "a 4-5", "a 4-5"]);
  assert.deepEqual(await after("ae\u0301a\u00e9", COMPOSE), ["a 0-1", "\u00e9 1-2", "a 3-4", "\u00e9 4-5"]);
  assert.deepEqual(await after("E\u0301", LOWER, COMPOSE), ["\u00e9 0-1"]);
  assert.deepEqual(await after("e\u0301\u0323", COMPOSE), ["\u00e9 0-1", "<unk> 2-3"]); // over the dot
  const map = characterMap("b\u0301", "a", "c\u0301", "ab\u00e9");
  assert.deepEqual(await after("\ufb01\u0301", map), ["ab 0-2"]); // the cluster is five bytes, its accent is lost
  assert.deepEqual(await after("b\u0301c\u0301", map), ["a 0-1", "ab 2-4", "\u00e9 3-4"]);
  assert.deepEqual(await after("a\ufeffb", map), ["ab 0-3"]);
});

test("late tokens are found in normalized text, the last of those that are then the same", async () => {
  const added = [[15, 4, "ea"], [16, 4, "ea"], [17, 0, "EA"], [18, 5, "b"]]; // prettier-ignore
  const found = await tokens("EAEaa b", { added, normalizer: [LOWER] });
  assert.deepEqual(found, ["#17 0-2", "#16 2-4", "a 4-5", "#18 5-7"]);
});

test("long texts are quick: without a space, of marks in the wrong order, of runs that are too short", async () => {
  const started = performance.now();
  const runs = [...numbers(5), ...ranges([0x20]), ...numbers(2 ** 30), ...ranges([]), ...string("a")];
  const tokenizer = await readTokenizer(packed(streams({ normalizer: [COMPOSE, runs, LOWER] })));
  for (const part of ["ab", "\u0301\u0323", "  "]) tokenizer.encode(part.repeat(100_000), null, 64);
  assert.ok(performance.now() - started < 20_000, "steps by the square of the letters");
});

test("what no writer means is refused in one line", async () => {
  const changed = (place, bytes) => streams().map((stream, i) => (i === place ? bytes : stream));
  const replace = (content) => [...numbers(4), ...string("a"), ...string(content)];
  for (const [parts, message] of [
    [streams({ unknown: 10 }), /the number 10, where less than 10/],
    [streams({ size: 9 }), /the number 10, where less than 10/],
    [streams({ splitting: [numbers(0)] }), /a splitting of kind 0/],
    [streams({ splitting: [[...numbers(3), ...string("ab"), ...numbers(2, 1)]] }), /a letter for spaces/],
    [streams({ scores: Array(10).fill(Infinity) }), /a score that is no finite number/],
    [streams({ scores: [1, 2] }), /ends too early/],
    [streams({ added: [[20, 4, "a"]] }), /the number 20, where less than 20/],
    [streams({ normalizer: [numbers(7)] }), /a step of kind 7/],
    [streams({ normalizer: Array(101).fill(STRIP) }), /the number 101/],
    [streams({ normalizer: [numbers(6, 4)] }), /the number 4, where/],
    [streams({ normalizer: [[...numbers(4), ...string(""), ...string("a")]] }), /an empty string to replace/],
    [streams({ normalizer: [[...numbers(5), ...ranges([32]), 0]] }), /runs of no length/],
    [streams({ normalizer: [characterMap("a", "b")] }), /a key of 1 code points/],
    [streams({ normalizer: [[...numbers(2), ...folds(["a", "b".repeat(65)])]] }), /the number 65/],
    [streams({ normalizer: [[...numbers(2, 1, 0x110000)]] }), /a code point that does not exist/],
    [streams({ normalizer: [replace("b".repeat(40)), replace("b".repeat(40))] }), /may write 1600 code points/],
    [streams({ normalizer: [COMPOSE.slice(0, -1)] }), /ends too early/],
    [changed(2, [0xff, ...streams()[2].slice(1)]), /a damaged vocabulary/],
    [changed(1, [9, 0]), /ends too early|a damaged vocabulary/],
    [[...streams(), [0], [0]], /has 7 parts, not 5 or 6/],
    [Array(8).fill([0]), /has more than 7 parts/],
    [changed(4, new Uint8Array(2 ** 24 + 1)), /unpacks to more than/],
  ]) {
    await assert.rejects(readTokenizer(packed(parts)), (error) => isDamage(error) && message.test(error.message));
  }
});
