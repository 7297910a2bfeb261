// Opens a packaged web app in headless Chromium and holds it to its bundle.
//
//   node browser.mjs BUNDLE SITE [--download SITE2] [--screenshots DIR --prefix NAME]
//
// SITE is `edgepack package BUNDLE --app web` with vendor/ filled; SITE2 the same with `--download-url` (its model is
// served here, on MODEL_PORT). Needs playwright-core and axe-core beside this file, and Chromium at CHROMIUM or
// /usr/bin/chromium. Each check prints a line; the first that does not hold ends the program with 1.

import assert from "node:assert/strict";
import { mkdir, readFile } from "node:fs/promises";
import { join } from "node:path";
import { parseArgs } from "node:util";
import axe from "axe-core";
import { chromium } from "playwright-core";
import { checkPipeline, decided, readBundle } from "./goldens.mjs";
import { Site } from "./site.mjs";

const [LISTED, QUERIES] = [12, 4]; // of goldens that are searched
const PAST_PAUSE_MS = 1500; // after which the page has said what it had to say
const TYPED = 50; // goldens typed into the page; all of them go through its pipeline
const FLAGS = [
  "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
  "--disable-background-networking", "--disable-component-update", "--disable-sync",
]; // prettier-ignore
const { values: options, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    download: { type: "string" },
    screenshots: { type: "string" },
    prefix: { type: "string", default: "web" },
  },
});
const [bundle, folder] = positionals;
const { manifest, goldens, model } = await readBundle(bundle);
const classifies = manifest.task === "text-classification";
const embeds = manifest.task === "feature-extraction";
const readable = (label) => label.replaceAll("_", " ");
const browser = await chromium.launch({
  executablePath: process.env.CHROMIUM ?? "/usr/bin/chromium",
  headless: true,
  args: FLAGS,
});
const done = (what) => console.log(`ok  ${what}`);

/** A page in a browser profile of its own, that records what it asks for and what it complains about. */
async function visit(site, settings = {}) {
  const context = await browser.newContext({ viewport: { width: 390, height: 844 }, ...settings });
  const page = await context.newPage();
  const seen = { requests: [], complaints: [] };
  context.on("request", (request) => seen.requests.push(request.url()));
  page.on("console", (message) => message.type() === "error" && seen.complaints.push(message.text()));
  page.on("pageerror", (error) => seen.complaints.push(String(error)));
  await page.goto(site.url);
  return { context, page, seen };
}

const ready = (page) => page.waitForSelector("html[data-ready=true]", { timeout: 60_000 });
const failed = (page) => page.waitForSelector("#failure:not([hidden])", { timeout: 60_000 });

/** Type a text and read the answer: the best label, the entities, or the first of a list. */
async function typed(page, text) {
  const before = await page
    .locator("#latency")
    .evaluateHandle((node) => ((node.dataset.seen = node.textContent), (node.textContent = "…"), node));
  await page.fill("#text", "");
  await page.fill("#text", text);
  await page.waitForFunction((node) => /ms$/.test(node.textContent), before, { timeout: 20_000 });
  return page.evaluate(
    () => document.querySelector("#result strong, #result .marked, #result .found")?.textContent,
  );
}

/** Goldens that a text field gives back as they are: it turns CR into LF, and blank texts are not answered. */
const typeable = decided(goldens)
  .filter(({ text }) => text.trim() !== "" && !text.includes("\r"))
  .slice(0, TYPED);

async function checkTyped(page, which) {
  if (embeds) return checkSearch(page, which);
  if (!classifies || manifest.pair) return;
  const sorted = (names) => names.split(", ").sort().join(", ");
  for (const { text, label, labels, score } of which) {
    const shown = await typed(page, text);
    if (score !== undefined) {
      assert.ok(Math.abs(Number(shown.split(": ").at(-1)) - score) <= 0.01 * Math.max(1, Math.abs(score)), shown);
      continue;
    }
    const expected = labels ? labels.map(readable).join(", ") || "none" : readable(label);
    assert.equal(sorted(shown), sorted(expected), JSON.stringify(text));
  }
  done(`${which.length} goldens typed into the page: the answer of ONNX Runtime in Python`);
}

/** Cosines of the goldens' vectors: their order and scores are what the page shows. */
async function checkSearch(page, which) {
  const plain = which.filter(({ text }) => text === text.trim() && !text.includes("\n"));
  const listed = [...new Map(plain.map((golden) => [golden.text, golden])).values()].slice(0, LISTED);
  await page.fill("#list", listed.map(({ text }) => text).join("\n"));
  const length = (vector) => Math.hypot(...vector);
  const cosine = (a, b) => a.reduce((sum, value, i) => sum + value * b[i], 0) / (length(a) * length(b) || 1);
  for (const query of listed.slice(0, QUERIES)) {
    await typed(page, query.text);
    const shown = await page.$$eval("#result .order li", (items) =>
      items.map((item) => [item.querySelector(".found").textContent, Number(item.querySelector(".share").textContent)]),
    );
    assert.equal(shown.length, listed.length);
    const expected = new Map(listed.map(({ text, logits }) => [text, cosine(query.logits, logits)]));
    for (const [text, score] of shown) assert.ok(Math.abs(score - expected.get(text)) < 0.03, `${text}: ${score}`);
    assert.deepEqual(
      shown.map(([, score]) => score),
      shown.map(([, score]) => score).sort((a, b) => b - a),
    );
  }
  await page.reload();
  await ready(page);
  assert.equal(await page.inputValue("#list"), listed.map(({ text }) => text).join("\n"));
  const runs = await page.evaluate(countRuns, listed.map(({ text }) => text));
  assert.equal(runs, 1, "a list whose vectors are kept is searched with one run of the model");
  done(`${Math.min(QUERIES, listed.length)} searches of ${listed.length} goldens: the cosines of ONNX Runtime in Python`);
}

/** Runs in the page: how often the model runs for a search of a list that is kept. */
async function countRuns(texts) {
  const [{ openPipeline }, { CacheStore }] = await Promise.all([import("./pipeline.js"), import("./core/store.js")]);
  const scope = new URL("./", location.href).href;
  const places = { folder: new URL("model/", scope).href, download: "", store: new CacheStore(scope) };
  const pipeline = await openPipeline(places, () => {});
  let runs = 0;
  const run = pipeline.model.run.bind(pipeline.model);
  pipeline.model.run = (encoding) => ((runs += 1), run(encoding));
  await pipeline.rank(texts[0], texts);
  return runs;
}

async function checkAccessible(page, state) {
  await page.evaluate(axe.source);
  const { violations } = await page.evaluate(() => globalThis.axe.run());
  assert.deepEqual(
    violations.map(({ id, nodes }) => [id, nodes.map((node) => node.html)]),
    [],
    state,
  );
}

async function checkKeyboard(page) {
  const fill = async (text) => {
    await page.fill("#text", text);
    await page.waitForFunction((isBlank) => (document.getElementById("latency").textContent === "") === isBlank, text === "");
  };
  await fill("");
  if (!embeds) {
    await fill("what nobody hears"); // answered, not spoken of yet
    await fill("");
    await page.waitForTimeout(PAST_PAUSE_MS);
  }
  assert.equal(await page.textContent("#spoken"), "", "a text that is gone is not spoken of");
  await page.locator("body").click({ position: { x: 2, y: 2 } });
  await page.keyboard.press("Tab");
  await page.keyboard.type("good");
  const focused = () => page.evaluate(() => document.activeElement.id || document.activeElement.tagName);
  assert.equal(await focused(), "text");
  await page.waitForFunction(() => document.getElementById("spoken").textContent !== "");
  await page.keyboard.press("Tab");
  assert.equal(await focused(), manifest.pair ? "pair" : embeds ? "list" : "clear");
  await page.locator("#clear").press("Enter");
  assert.equal(await page.inputValue("#text"), "");
  assert.equal(await focused(), "text");
  done("keyboard alone: type, hear the answer, clear");
}

async function checkOffline(site, { context, page }) {
  await page.waitForSelector("html[data-offline=true]", { timeout: 60_000 });
  const { port } = site;
  await site.close();
  await context.setOffline(true);
  await page.reload();
  await ready(page);
  await checkTyped(page, typeable.slice(0, 5));
  assert.ok(await typed(page, typeable[0].text));
  done("works again with the server gone and the network off");
  const again = await new Site(folder).open(port);
  await context.setOffline(false);
  return again;
}

/** A damaged model says so; the same page works once the server has the right one. */
async function checkDamage(site) {
  const flip = (bytes) => Object.assign(Buffer.from(bytes), { [bytes.length >> 1]: bytes[bytes.length >> 1] ^ 1 });
  const damages = {
    altered: flip,
    "cut short": (bytes) => bytes.subarray(0, -1000),
    longer: (bytes) => Buffer.concat([bytes, bytes]),
  };
  for (const [name, change] of Object.entries(damages)) {
    site.changes.set(`model/${model.path}`, change);
    const { page, context } = await visit(site);
    await failed(page);
    assert.equal(await page.textContent("#failure-title"), "The model is damaged");
    assert.match(await page.textContent("#failure-text"), /onnx\/model_quantized\.onnx/);
    assert.equal(await page.evaluate(() => document.activeElement.id), "failure-title");
    if (name === "altered") {
      await checkAccessible(page, "failure");
      await screenshot(page, "damaged-phone-light");
    }
    site.changes.clear();
    await page.click("#retry");
    await ready(page);
    await context.close();
    done(`a model that is ${name} says that it is damaged, and can be fetched again`);
  }
}

/** A run that throws says so, takes the old answer away, and can be tried again. */
async function checkUnanswered(site) {
  const start = "async run(encoding) {";
  const breaks = (bytes) =>
    String(bytes).replace(start, `${start} if (globalThis.breaks) throw new Error("out of memory");`);
  site.changes.set("core/pipeline.js", (bytes) => Buffer.from(breaks(bytes)));
  const { page, seen, context } = await visit(site);
  await ready(page);
  await typed(page, typeable[0].text);
  await page.evaluate(() => (globalThis.breaks = true));
  await page.fill("#text", "another text");
  await page.waitForSelector("#unanswered:not([hidden])");
  assert.equal(await page.textContent("#result"), "", "the answer to another text is gone");
  assert.equal(await page.textContent("#latency"), "");
  assert.match(await page.textContent("#spoken"), /could not answer: out of memory\. Try again/);
  await checkAccessible(page, "unanswered");
  await page.evaluate(() => (globalThis.breaks = false));
  await page.locator("#again").press("Enter");
  await page.waitForFunction(() => document.getElementById("latency").textContent !== "");
  assert.equal(await page.evaluate(() => document.activeElement.id), "text");
  assert.ok(await page.isHidden("#unanswered"));
  assert.notEqual(await page.textContent("#result"), "");
  assert.deepEqual(seen.complaints.filter((text) => !text.startsWith("Error: out of memory")), []);
  await context.close();
  site.changes.clear();
  done("a run that fails says so, without the old answer, and can be tried again");
}

/** A text that the vocabulary has nothing of says so; bytes are all known. */
async function checkUnknown({ page }) {
  const { model: kind } = JSON.parse(await readFile(join(bundle, "tokenizer.json"), "utf8"));
  if (kind.type !== "WordPiece") return;
  await typed(page, "\u{1f600} \u{1f601}");
  assert.ok(await page.isVisible("#unknown"));
  await page.waitForFunction(() => /unknown to the model/.test(document.getElementById("spoken").textContent));
  await typed(page, goldens[0].text);
  assert.ok(await page.isHidden("#unknown"));
  done("a text that is mostly unknown says so, and no other");
}

/** Examples, where the site has them: by keyboard alone they fill the fields, are answered and spoken. */
async function checkExamples(site) {
  const { page, context } = await visit(site);
  await ready(page);
  const { EXAMPLES } = await page.evaluate(() => import("./config.js").then(({ EXAMPLES }) => ({ EXAMPLES })));
  const buttons = page.getByRole("group", { name: "Try an example" }).getByRole("button");
  assert.equal(await buttons.count(), EXAMPLES.length);
  for (const [i, [text, pair]] of EXAMPLES.entries()) {
    assert.ok(goldens.some((golden) => golden.text === text && (golden.pair ?? null) === pair), text);
    do await page.keyboard.press("Tab");
    while (!(await buttons.nth(i).evaluate((node) => node === document.activeElement)));
    const before = await page.textContent("#spoken");
    await page.keyboard.press("Enter");
    assert.equal(await page.inputValue("#text"), text);
    assert.equal(await page.inputValue("#pair"), pair ?? "");
    await page.waitForFunction((old) => ![old, ""].includes(document.getElementById("spoken").textContent), before);
    assert.ok(await buttons.nth(i).evaluate((node) => node === document.activeElement), "the focus stays");
  }
  await context.close();
  if (EXAMPLES.length > 0) done(`${EXAMPLES.length} examples by keyboard alone: filled in, answered, spoken`);
}

/** What the browser has kept is compared too: a cut one is fetched again. */
async function checkKept({ page }, site) {
  await page.evaluate(async () => {
    const cache = await caches.open(`edgepack files ${new URL("./", location.href).href}`);
    const keys = await cache.keys();
    for (const key of keys)
      await cache.put(key, new Response((await (await cache.match(key)).arrayBuffer()).slice(0, -7)));
  });
  const before = site.requests.length;
  await page.reload();
  await ready(page);
  const fetched = site.requests.slice(before).map(([path]) => path);
  assert.ok(fetched.includes(`model/${model.path}`), fetched.join());
  done("a kept file that was cut is fetched again");
}

async function checkDownload() {
  if (!options.download) return;
  const [site, models] = [
    await new Site(options.download).open(),
    await new Site(bundle).open(Number(process.env.MODEL_PORT)),
  ];
  const quarter = Math.floor(model.bytes / 4);
  models.cuts.set(model.path, [quarter, quarter]);
  const visitor = await visit(site);
  await ready(visitor.page);
  const starts = models.requests
    .filter(([path, range]) => path === model.path && range !== "")
    .map(([, range]) => Number(/^bytes=(\d+)-$/.exec(range)[1]));
  // A browser drops what the page has not read when a connection fails, so a slow one may ask for a little more again.
  const [first, second] = starts;
  assert.equal(starts.length, 2, `ranges from ${starts}`);
  assert.ok(0 < first && first <= quarter, `${first} of ${quarter} bytes that were sent`);
  assert.ok(first < second && second <= first + quarter, `${second} after ${first}, ${quarter} bytes were sent`);
  await checkTyped(visitor.page, typeable.slice(0, 5));
  await visitor.context.close();
  await site.close();
  await models.close();
  done("a model on another server: fetched, cut off twice, taken up where it was, verified");
}

async function screenshot(page, name) {
  if (!options.screenshots) return;
  await mkdir(options.screenshots, { recursive: true });
  await page.screenshot({ path: join(options.screenshots, `${options.prefix}-${name}.png`), animations: "disabled" });
}

/** Every state at phone and desktop size, in light and dark. */
async function look(site) {
  const example = process.env.EXAMPLE ?? typeable.find(({ text }) => text.length > 30).text;
  for (const [size, viewport] of Object.entries({
    phone: { width: 390, height: 844 },
    desktop: { width: 1120, height: 800 },
  })) {
    for (const colorScheme of ["light", "dark"]) {
      const { page, context } = await visit(site, { viewport, colorScheme });
      await ready(page);
      await checkAccessible(page, `empty, ${size}, ${colorScheme}`);
      for (let i = 0; i < 4; i++) await typed(page, example); // so that the picture's latency is a warm one
      await page.waitForSelector("html[data-offline=true]", { timeout: 60_000 });
      await checkAccessible(page, `answered, ${size}, ${colorScheme}`);
      const wide = await page.evaluate(() => document.documentElement.scrollWidth > innerWidth);
      assert.ok(!wide, `${size}: wider than the screen`);
      await screenshot(page, `${size}-${colorScheme}`);
      await page.locator("details.card summary").click();
      await checkAccessible(page, `facts, ${size}, ${colorScheme}`);
      await context.close();
    }
  }
  done("axe finds nothing to object to: empty, answered and with facts, phone and desktop, light and dark");
}

try {
  let site = await new Site(folder).open();
  const visitor = await visit(site);
  await ready(visitor.page);
  await checkTyped(visitor.page, typeable);
  done(await checkPipeline(visitor.page, goldens));
  await checkUnknown(visitor);
  await checkKeyboard(visitor.page);
  site = await checkOffline(site, visitor);
  await checkKept(visitor, site);
  const outside = visitor.seen.requests.filter((url) => !url.startsWith(site.url));
  assert.deepEqual(outside, []);
  assert.deepEqual(visitor.seen.complaints, []);
  done(`${visitor.seen.requests.length} requests, all to the page's own server; no complaint on the console`);
  await visitor.context.close();
  await checkDamage(site);
  await checkUnanswered(site);
  await checkExamples(site);
  await look(site);
  await site.close();
  await checkDownload();
} finally {
  await browser.close();
}
