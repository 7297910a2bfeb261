// Compares the JavaScript tokenizer with the reference's answers, line by line.
//
//   [CORE=FOLDER] node compare.mjs TOKENIZER.bin MAX_LENGTH LINES.jsonl...
//
// CORE: the core of a packaged site, instead of the checkout's.
//
// Lines are golden.jsonl's or those of tests/apps/reference.py, which hold a `max_length` of their own, words and unknown shares. A line
// with `windows` has the whole text's tokens. A line without ids has the offsets of a text's own tokens, and only its
// words are looked at. Prints a line for each of the
// first differences, then one JSON object; exits 1 if there was a difference or no line at all.

import { createReadStream } from "node:fs";
import { readFile } from "node:fs/promises";
import { resolve } from "node:path";
import { createInterface } from "node:readline";
import { fileURLToPath, pathToFileURL } from "node:url";

const SHOWN = 5;
const [asset, maxLength, ...files] = process.argv.slice(2);
const core = process.env.CORE ?? fileURLToPath(new URL("../../../sample_apps/web/core", import.meta.url));
const { readTokenizer } = await import(pathToFileURL(resolve(core, "tokenizer.js")));
const { words } = await import(pathToFileURL(resolve(core, "words.js")));
const { unknownShare } = await import(pathToFileURL(resolve(core, "unknown.js")));
const tokenizer = await readTokenizer(new Uint8Array(await readFile(asset)));
const same = (got, expected) => got.length === expected.length && got.every((value, i) => value === expected[i]);
let [lines, tokens, found, unknown, different, milliseconds] = [0, 0, 0, 0, 0, 0];

/** The name of what differs, and what it is; undefined where nothing does. */
function difference(line) {
  const isGiven = line.input_ids === undefined;
  const started = performance.now();
  const got = isGiven
    ? { inputIds: [], offsets: line.offsets_utf16.flat(), sequences: line.offsets_utf16.map(() => 0) }
    : tokenizer.encode(line.text, line.pair ?? null, line.max_length ?? Number(maxLength), line.windows !== undefined);
  milliseconds += performance.now() - started;
  tokens += got.inputIds.length;
  const pairs = isGiven
    ? []
    : [
        ["ids", got.inputIds, line.input_ids],
        ["type ids", got.tokenTypeIds, line.token_type_ids],
        ["offsets", got.offsets, line.offsets_utf16.flat()],
      ];
  if (line.words !== undefined) {
    const spans = words(tokenizer, line.text, got).flatMap(({ first, start, end }) => [first, start, end]);
    pairs.push(["words", spans, line.words.flat()]);
    found += line.words.length;
  }
  if (line.unknown !== undefined) {
    unknown += line.unknown > 0 ? 1 : 0;
    pairs.push(["share of unknown tokens", [unknownShare(got, tokenizer.data.unknownId)], [line.unknown]]);
  }
  return pairs.find(([, value, expected]) => !same(value, expected));
}

for (const file of files) {
  for await (const text of createInterface({ input: createReadStream(file) })) {
    const line = JSON.parse(text);
    lines += 1;
    const wrong = difference(line);
    if (wrong === undefined) continue;
    different += 1;
    if (different <= SHOWN)
      console.log(`${file}:${lines}: other ${wrong[0]}: ${JSON.stringify(line)}\n  got ${wrong[1]}`);
  }
}
console.log(JSON.stringify({ lines, tokens, words: found, unknown, different, milliseconds: Math.round(milliseconds) }));
process.exit(different > 0 || lines === 0 ? 1 : 0);
