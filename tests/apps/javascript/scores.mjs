// Compares scores with the reference's: FOLDER with edgepack.json and files of golden lines; prints their number.

import { readdir, readFile } from "node:fs/promises";
import { join } from "node:path";
import { scoreOf } from "../../../sample_apps/web/core/decision.js";
import { readManifest } from "../../../sample_apps/web/core/manifest.js";

const folder = process.argv[2];
const { activation } = readManifest(await readFile(join(folder, "edgepack.json"), "utf8"));
let [lines, different] = [0, 0];
for (const name of (await readdir(folder)).filter((each) => each.endsWith(".jsonl"))) {
  for (const line of (await readFile(join(folder, name), "utf8")).trim().split("\n")) {
    const golden = JSON.parse(line);
    lines++;
    if (!(Math.abs(scoreOf(golden.logits[0], activation) - golden.score) <= 1e-3)) different++;
  }
}
console.log(JSON.stringify({ lines, different }));
process.exit(different === 0 ? 0 : 1);
