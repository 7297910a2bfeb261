// What damaged files do: a clear error and nothing else. ASSETS: paths of tokenizer.bin files of every kind with `:`
// between them, of test_javascript.py.

import assert from "node:assert/strict";
import { readFile } from "node:fs/promises";
import { test } from "node:test";
import { inflateSync } from "node:zlib";
import { readTokenizer } from "../../../sample_apps/web/core/tokenizer.js";
import { isDamage, packed } from "./streams.mjs";

const assets = (process.env.ASSETS ?? "").split(":").filter(Boolean);
const TEXT = "the movie wasn't <mask> good, 中文 😀  ok";
const places = (length, count) => Array.from({ length: Math.min(length, count) }, (_, i) => Math.floor((i * length) / count));

/** Whether bytes are refused as they should be; reading and encoding may also succeed, nothing else may happen. */
async function isRefused(bytes) {
  try {
    (await readTokenizer(bytes)).encode(TEXT, TEXT);
  } catch (error) {
    assert.ok(isDamage(error) || error.kind === "unsupported", error.stack);
    return true;
  }
  return false;
}

test("a damaged file is a clear error and nothing else", { skip: assets.length === 0 }, async () => {
  for (const path of assets) {
    const good = new Uint8Array(await readFile(path));
    assert.equal(await isRefused(good), false, path);
    let [refused, count] = [0, 0];
    for (const at of places(good.length, 100)) {
      const altered = good.slice();
      altered[at] += 1;
      for (const bytes of [good.slice(0, at), altered]) {
        refused += await isRefused(bytes);
        count += 1;
      }
    }
    assert.ok(refused >= 0.9 * count, `only ${refused} of ${count} damaged files are refused: ${path}`);
  }
});

test("so is one whose streams are damaged before they are packed", { skip: assets.length === 0 }, async () => {
  for (const path of assets) {
    const good = await readFile(path);
    const parts = [];
    for (let at = 5; at < good.length; at += 4 + good.readUInt32LE(at)) {
      parts.push([...inflateSync(good.subarray(at + 4, at + 4 + good.readUInt32LE(at)))]);
    }
    for (const [place, part] of parts.entries()) {
      for (const at of places(part.length, 12)) {
        for (const wrong of [part.slice(0, at), part.with(at, 0xff), part.with(at, 0), part.with(at, part[at] ^ 1)]) {
          await isRefused(packed(parts.with(place, wrong), good[4]));
        }
      }
    }
  }
});
