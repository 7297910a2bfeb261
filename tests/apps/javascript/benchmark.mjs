// Tokenizes a file of texts, a line each, once for every line on standard input: another program can take turns.
//
//   node benchmark.mjs TOKENIZER.bin TEXTS MAX_LENGTH
//
// Prints the milliseconds to load the tokenizer, then for each round its nanoseconds, how many tokens there were and the
// sum of their ids, as TokenizerBenchmark.kt does.

import { readFile } from "node:fs/promises";
import { createInterface } from "node:readline";
import { readTokenizer } from "../../../sample_apps/web/core/tokenizer.js";

const [asset, file, maxLength] = process.argv.slice(2);
const started = performance.now();
const tokenizer = await readTokenizer(new Uint8Array(await readFile(asset)));
console.log(performance.now() - started);
const texts = (await readFile(file, "utf8")).split("\n").slice(0, -1);
for await (const _ of createInterface({ input: process.stdin })) {
  let [tokens, sum] = [0, 0];
  const begin = performance.now();
  for (const text of texts) {
    const { inputIds } = tokenizer.encode(text, null, Number(maxLength));
    tokens += inputIds.length;
    for (const id of inputIds) sum += id;
  }
  console.log(`${Math.round((performance.now() - begin) * 1e6)} ${tokens} ${sum}`);
}
