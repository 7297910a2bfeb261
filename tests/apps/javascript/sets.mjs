// Compares label sets with the reference's: FOLDER with edgepack.json and files of golden lines; prints their number.

import { readdir, readFile } from "node:fs/promises";
import { join } from "node:path";
import { labelSet } from "../../../sample_apps/web/core/decision.js";
import { readManifest } from "../../../sample_apps/web/core/manifest.js";

const folder = process.argv[2];
const { labels, thresholds } = readManifest(await readFile(join(folder, "edgepack.json"), "utf8"));
let [lines, different] = [0, 0];
for (const name of (await readdir(folder)).filter((each) => each.endsWith(".jsonl"))) {
  for (const line of (await readFile(join(folder, name), "utf8")).trim().split("\n")) {
    const golden = JSON.parse(line);
    const found = labelSet(golden.logits, labels, thresholds).filter(({ answered }) => answered);
    const names = new Set(found.map(({ label }) => label));
    lines++;
    if (names.size !== golden.labels.length || !golden.labels.every((label) => names.has(label))) different++;
  }
}
console.log(JSON.stringify({ lines, different }));
process.exit(different === 0 ? 0 : 1);
