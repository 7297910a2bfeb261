// usage: node axe.mjs PAGE.html…   Exit 1 where axe finds something in a report, where it is wider than a phone, or
// where it asks for anything but itself. Every page is looked at in light and dark, on a phone and a desktop, all
// folded parts open.
import { readFileSync } from "node:fs";
import { createRequire } from "node:module";
import { resolve } from "node:path";
import { pathToFileURL } from "node:url";
import { chromium } from "playwright-core";

const PROGRAM = process.env.CHROMIUM ?? "/usr/bin/chromium";
const FLAGS = ["--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking", "--disable-component-update", "--disable-sync"];
const SIZES = { phone: { width: 390, height: 844 }, desktop: { width: 1280, height: 900 } };
const axe = readFileSync(createRequire(import.meta.url).resolve("axe-core/axe.min.js"), "utf8");

const browser = await chromium.launch({ executablePath: PROGRAM, headless: true, args: FLAGS });
let passed = true;
const fail = (message) => {
  console.log(message);
  passed = false;
};
for (const file of process.argv.slice(2)) {
  const address = pathToFileURL(resolve(file)).href;
  for (const [name, viewport] of Object.entries(SIZES)) {
    for (const colorScheme of ["light", "dark"]) {
      const where = `${file}, ${name}, ${colorScheme}`;
      // the page forbids scripts, which axe is one of
      const context = await browser.newContext({ viewport, colorScheme, bypassCSP: true });
      const page = await context.newPage();
      page.on("request", (request) => request.url() === address || fail(`${where}: asks for ${request.url()}`));
      await page.goto(address);
      await page.evaluate(() => document.querySelectorAll("details").forEach((part) => (part.open = true)));
      const width = await page.evaluate(() => document.documentElement.scrollWidth);
      if (width > viewport.width) fail(`${where}: ${width} px wide`);
      await page.evaluate(axe);
      const { violations, passes } = await page.evaluate(() => globalThis.axe.run());
      for (const { id, help, nodes } of violations) {
        fail(`${where}: ${id}: ${help}\n  ${nodes.slice(0, 5).map((node) => `${node.target}: ${node.html.slice(0, 120)}`).join("\n  ")}`);
      }
      console.log(`${where}: ${violations.length} violations, ${passes.length} rules passed`);
      await context.close();
    }
  }
}
await browser.close();
process.exit(passed ? 0 : 1);
