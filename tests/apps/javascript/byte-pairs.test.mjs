// Byte-level BPE by a vocabulary of a few merges, written here: what each option does, what no reference takes, and
// what damaged files say.

import assert from "node:assert/strict";
import { test } from "node:test";
import { readTokenizer } from "../../../sample_apps/web/core/tokenizer.js";
import { words } from "../../../sample_apps/web/core/words.js";
import { isDamage, numbers, packed, points, ranges, signed, string } from "./streams.mjs";

const OTHERS = 4; // ids before those of symbols
const code = (letter) => letter.charCodeAt(0);
const MERGES = [
  [code("h"), code("e"), 256],
  [code("t"), 256, 257],
  [code(" "), code("t"), 258],
  [258, 256, 259], // " the"
  [code("t"), code("'"), 260],
  [code("h"), code("h"), 261],
  [code(" "), 257, 259], // " the" by another way
  [0xe4, 0xb8, 262],
  [262, 0xad, 263], // 中
];
const CLASSES = [
  points("abcdefghijklmnopqrstuvwxyz\u00e9\u4e2d\u65e5"),
  points("0123456789"),
  points("\t\n \u3000"),
  points("\t\n \u3000"),
  points("'().<>"),
  points("\u4e2d"),
];

const planes = (values) => [0, 8, 16].flatMap((shift) => values.map((value) => (value >> shift) & 0xff));

/** The streams of version 2; a symbol's id is the symbol and `OTHERS`, the template is the text alone. */
function streams({ flags = 0, added = [], kind = 1, size = 300, merges = MERGES, classes = CLASSES } = {}) {
  const template = [...numbers(1, 1, 0, 0), ...numbers(2, 1, 0, 0, 2, 0, 0)];
  const tokens = added.flatMap(([id, flag, content]) => [...numbers(id, flag), ...string(content)]);
  let next = 256;
  const results = merges.flatMap(([, , made]) => {
    const step = signed(made - next);
    next = Math.max(next, made + 1);
    return numbers(step);
  });
  return [
    [...numbers(kind, flags, size, added.length), ...tokens, ...template],
    numbers(2 * OTHERS, ...Array(next - 1).fill(0)),
    planes(merges.map(([left]) => left)),
    planes(merges.map(([, right]) => right)),
    results,
    classes.flatMap(ranges),
  ];
}

const tiny = (options) => readTokenizer(packed(streams(options)));

/** Tokens as a vocabulary writes them; `#n` is an added one. */
async function tokens(text, options) {
  const spelled = (symbol) => {
    const merge = MERGES.find(([, , made]) => made === symbol);
    return merge ? spelled(merge[0]) + spelled(merge[1]) : String.fromCharCode(symbol);
  };
  const { inputIds } = (await tiny(options)).encode(text);
  return inputIds.map((id) => (id < OTHERS ? `#${id}` : spelled(id - OTHERS).replace(" ", "Ġ")));
}

async function offsets(text, options) {
  const found = (await tiny(options)).encode(text).offsets;
  return found.filter((_, i) => i % 2 === 0).map((start, i) => [start, found[2 * i + 1]]);
}

test("merges go in order and not across pieces", async () => {
  assert.deepEqual(await tokens("the the  the"), ["the", "Ġthe", "Ġ", "Ġthe"]);
  assert.deepEqual(await tokens("t'th1"), ["t", "'", "t", "h", "1"]); // 't is a contraction, th1 no piece
  assert.deepEqual(await tokens("the\t the"), ["the", "\t", "Ġthe"]);
  assert.deepEqual(await tokens("  "), ["Ġ", "Ġ"]);
  assert.deepEqual(await tokens(""), []);
});

test("a byte has the offsets of its character", async () => {
  assert.deepEqual(await offsets("é😀"), [[0, 1], [0, 1], [1, 3], [1, 3], [1, 3], [1, 3]]); // prettier-ignore
});

test("a space is put first, and offsets are trimmed", async () => {
  assert.deepEqual(await tokens("the the", { flags: 1 }), ["Ġthe", "Ġthe"]);
  assert.deepEqual(await offsets("the the", { flags: 1 }), [[0, 3], [3, 7]]); // prettier-ignore
  assert.deepEqual(await tokens(" the", { flags: 1 }), ["Ġthe"]);
  assert.deepEqual(await offsets("the the", { flags: 3 }), [[1, 3], [4, 7]]); // prettier-ignore
  assert.deepEqual(await offsets("the the", { flags: 7 }), [[0, 3], [4, 7]]); // prettier-ignore
});

test("added tokens: the longest first, late ones in what is left, with the spaces that they swallow", async () => {
  const added = [
    [0, 0, "<m>"],
    [1, 0, "<m>m>"],
    [2, 3, "the"],
    [3, 4, "m>"],
  ];
  assert.deepEqual(await tokens("<m>m><m>>m>", { added }), ["#1", "#0", ">", "#3"]);
  assert.deepEqual(await offsets("t the h", { added }), [[0, 1], [1, 6], [6, 7]]); // prettier-ignore
  assert.deepEqual(await offsets("t the h", { added, flags: 2 }), [[0, 1], [2, 5], [6, 7]]); // prettier-ignore
});

test("half a surrogate pair is a replacement character", async () => {
  const tokenizer = await tiny({ flags: 3 });
  for (const half of ["\ud800", "\udc00"]) {
    assert.deepEqual(tokenizer.encode(`t${half}h`), tokenizer.encode("t\ufffdh"));
  }
});

test("words, whose first token may be their own space", async () => {
  const split = async (text, options) => {
    const tokenizer = await tiny(options);
    return words(tokenizer, text, tokenizer.encode(text)).map((word) => [word.first, text.slice(word.start, word.end)]);
  };
  for (const flags of [1, 3]) {
    assert.deepEqual(await split(" (the'  e'h", { flags }), [[0, "("], [2, "the"], [3, "'"], [5, "e'h"]]); // prettier-ignore
    assert.deepEqual(await split("in中the. ", { flags }), [[0, "in"], [3, "中"], [4, "the"], [5, "."]]); // prettier-ignore
    assert.deepEqual(await split("中 中", { flags }), [[0, "中"], [2, "中"]]); // prettier-ignore
    assert.deepEqual(await split("日.", { flags }), [[0, "日"], [4, "."]]); // prettier-ignore
    assert.deepEqual(await split("  ", { flags }), []);
  }
  const added = [[0, 0, "<m>"], [1, 1, "<>)"]]; // prettier-ignore
  assert.deepEqual(await split("<m>he", { flags: 3, added }), [[0, "<m>he"]]); // a space is put before "he"
  assert.deepEqual(await split("the <>)", { flags: 7, added }), [[0, "the"], [1, "<>)"]]); // prettier-ignore
});

test("a long word is quick, and a cut ends it", async () => {
  const [tokenizer, start] = [await tiny(), performance.now()];
  assert.equal(tokenizer.encode("h".repeat(200_000)).inputIds.length, 100_000);
  assert.equal(tokenizer.encode("the ".repeat(200_000), null, 5).inputIds.length, 5);
  assert.ok(performance.now() - start < 20_000, "steps by the square of the letters");
});

test("what no writer means is refused in one line", async () => {
  const changed = (place, bytes) => streams().map((stream, i) => (i === place ? bytes : stream));
  for (const [parts, message] of [
    [streams({ kind: 3 }), /is of kind 3/],
    [streams({ size: 200 }), /has an id that does not exist/],
    [streams({ merges: [[code("t"), 300, 256]] }), /has damaged merges/],
    [streams({ merges: [[code("t"), code("h"), 258]] }), /has damaged merges/],
    [streams({ merges: [[code("t"), code("h"), 255]] }), /has damaged merges/],
    [streams({ merges: [[1, 2, 256], [1, 2, 257]] }), /has damaged merges/], // prettier-ignore
    [streams({ added: [[0, 0, ""]] }), /an added token without a character/],
    [streams({ classes: [...CLASSES.slice(0, 2), [9], ...CLASSES.slice(3)] }), /takes a space for something else/],
    [streams({ classes: [...CLASSES.slice(0, 5), [0x110000]] }), /a code point that does not exist/],
    [streams().slice(0, 5), /has 5 parts, not 6 or 7/],
    [changed(0, numbers(1, 0, 300, 2 ** 34)), /ends too early/],
    [changed(0, numbers(1, 0, 300, 0, 1, 7, 0, 0, 0)), /has a damaged template/],
    [changed(0, numbers(1, 0, 300, 0, 1, 2, 0, 0, 0)), /has a damaged template/],
    [changed(1, numbers(2 * OTHERS)), /ends too early/],
    [changed(2, planes([1])), /has damaged merges/],
    [changed(3, [1]), /has damaged merges/],
    [changed(4, [0x80, 0x80, 0x80, 0x80, 0x80, 0]), /a number that is too long/],
  ]) {
    await assert.rejects(readTokenizer(packed(parts)), (error) => isDamage(error) && message.test(error.message));
  }
});
