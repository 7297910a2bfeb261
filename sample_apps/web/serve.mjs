// Serves this folder on http://localhost:8000, with the headers that a real server should send: a file that has its
// Brotli or gzip form beside it goes out in the one that the browser takes. For trying out only.
// usage: npm run serve [-- PORT]

import { createReadStream } from "node:fs";
import { stat } from "node:fs/promises";
import { createServer } from "node:http";
import { dirname, extname, join, normalize, sep } from "node:path";
import { fileURLToPath } from "node:url";

const TYPES = {
  ".css": "text/css",
  ".html": "text/html; charset=utf-8",
  ".js": "text/javascript",
  ".json": "application/json",
  ".mjs": "text/javascript",
  ".png": "image/png",
  ".svg": "image/svg+xml",
  ".wasm": "application/wasm",
  ".webmanifest": "application/manifest+json",
};
const ENCODINGS = { br: ".br", gzip: ".gz" }; // the smallest first
const root = dirname(fileURLToPath(import.meta.url));
const port = Number(process.argv[2] ?? 8000);

async function fileOf(url) {
  const path = normalize(decodeURIComponent(new URL(url, "http://localhost").pathname));
  const file = join(root, path.endsWith(sep) ? join(path, "index.html") : path);
  if (!file.startsWith(root + sep) || file.includes(`${sep}node_modules${sep}`)) return null;
  const found = await stat(file).catch(() => null);
  return found?.isFile() ? { file, size: found.size } : null;
}

/** Whether an Accept-Encoding header takes an encoding; one with the weight 0 is refused. */
function takes(header, encoding) {
  const weights = header.split(",").map((part) => part.trim().split(/\s*;\s*q\s*=\s*/i));
  const [, weight = "1"] = weights.find(([name]) => name.toLowerCase() === encoding) ?? [encoding, "0"];
  return Number(weight) > 0;
}

/** A file as it is sent: the smallest form that is there and taken, and whether there is another one. */
async function formOf({ file, size }, accepted) {
  let [sent, varies] = [{ file, size, encoding: null }, false];
  for (const [encoding, ending] of Object.entries(ENCODINGS)) {
    const found = await stat(file + ending).catch(() => null);
    if (!found?.isFile()) continue;
    varies = true;
    if (sent.encoding === null && takes(accepted, encoding)) sent = { file: file + ending, size: found.size, encoding };
  }
  return { ...sent, varies };
}

const server = createServer(async (request, response) => {
  const found = await fileOf(request.url).catch(() => null);
  if (found === null) {
    response.writeHead(404).end();
    return;
  }
  const { file, size, encoding, varies } = await formOf(found, String(request.headers["accept-encoding"] ?? ""));
  response.writeHead(200, {
    "Content-Type": TYPES[extname(found.file)] ?? "application/octet-stream",
    "Content-Length": size,
    ...(encoding === null ? {} : { "Content-Encoding": encoding }),
    ...(varies ? { Vary: "Accept-Encoding" } : {}),
    "Cache-Control": "no-cache",
    "X-Content-Type-Options": "nosniff",
  });
  createReadStream(file).pipe(response);
});
server.listen(port, "127.0.0.1", () => console.log(`http://localhost:${server.address().port}/`));
