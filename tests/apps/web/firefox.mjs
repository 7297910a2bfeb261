// Opens a packaged web app in headless Firefox: goldens, and again without the server.
//
//   node firefox.mjs BUNDLE SITE
//
// Needs puppeteer-core beside this file, and Firefox at FIREFOX or /usr/bin/firefox-esr.

import assert from "node:assert/strict";
import puppeteer from "puppeteer-core";
import { checkPipeline, readBundle } from "./goldens.mjs";
import { Site } from "./site.mjs";

const PATIENCE_MS = 120_000;
const [bundle, folder] = process.argv.slice(2);
const { goldens, manifest } = await readBundle(bundle);
const browser = await puppeteer.launch({
  browser: "firefox",
  executablePath: process.env.FIREFOX ?? "/usr/bin/firefox-esr",
  headless: true,
  timeout: PATIENCE_MS,
  protocolTimeout: PATIENCE_MS,
});

try {
  const site = await new Site(folder).open();
  const page = await browser.newPage();
  page.setDefaultTimeout(PATIENCE_MS);
  const complaints = [];
  page.on("pageerror", (error) => complaints.push(error.message));
  await page.goto(site.url);
  await page.waitForSelector("html[data-ready=true]");
  console.log(`ok  Firefox: ${await checkPipeline(page, goldens)}`);
  await page.waitForSelector("html[data-offline=true]");
  await site.close();
  await page.reload();
  await page.waitForSelector("html[data-ready=true]");
  await page.type("#text", goldens[0].text);
  await page.waitForFunction(() => /ms$/.test(document.getElementById("latency").textContent));
  if (manifest.task === "text-classification" && goldens[0].score === undefined) {
    const label = (goldens[0].label ?? (goldens[0].labels.join(", ") || "none")).replaceAll("_", " ");
    await page.waitForFunction((best) => document.querySelector("#result strong").textContent === best, {}, label);
  }
  assert.deepEqual(complaints, []);
  console.log("ok  Firefox: works again with the server gone");
} finally {
  await browser.close();
}
