// usage: node report_pictures.mjs PAGE.html FOLDER   Takes the pictures of docs/report.md from a report.
import { join, resolve } from "node:path";
import { pathToFileURL } from "node:url";
import { chromium } from "playwright-core";

const PICTURES = [
  { name: "report-phone-light", width: 390, height: 844, scheme: "light", part: null },
  { name: "report-phone-dark", width: 390, height: 844, scheme: "dark", part: "bytes" },
  { name: "report-desktop-light", width: 1280, height: 900, scheme: "light", part: null },
  { name: "report-desktop-dark", width: 1280, height: 900, scheme: "dark", part: "training" },
  { name: "report-desktop-answers", width: 1280, height: 1000, scheme: "light", part: "answers" },
];
const [page, folder] = process.argv.slice(2);
const program = process.env.CHROMIUM ?? "/usr/bin/chromium";
const browser = await chromium.launch({ executablePath: program, headless: true, args: ["--no-sandbox", "--disable-gpu"] });
for (const { name, width, height, scheme, part } of PICTURES) {
  const view = await browser.newPage({ viewport: { width, height }, colorScheme: scheme });
  await view.goto(pathToFileURL(resolve(page)).href + (part ? `#${part}` : ""));
  await view.screenshot({ path: join(folder, `${name}.png`) });
  await view.close();
}
await browser.close();
