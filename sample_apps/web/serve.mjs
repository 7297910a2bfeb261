// Serves this folder on http://localhost:8000, with the headers that a real server should send. For trying out only.
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
const root = dirname(fileURLToPath(import.meta.url));
const port = Number(process.argv[2] ?? 8000);

async function fileOf(url) {
  const path = normalize(decodeURIComponent(new URL(url, "http://localhost").pathname));
  const file = join(root, path.endsWith(sep) ? join(path, "index.html") : path);
  if (!file.startsWith(root + sep) || file.includes(`${sep}node_modules${sep}`)) return null;
  const found = await stat(file).catch(() => null);
  return found?.isFile() ? { file, size: found.size } : null;
}

const server = createServer(async (request, response) => {
  const found = await fileOf(request.url).catch(() => null);
  if (found === null) {
    response.writeHead(404).end();
    return;
  }
  response.writeHead(200, {
    "Content-Type": TYPES[extname(found.file)] ?? "application/octet-stream",
    "Content-Length": found.size,
    "Cache-Control": "no-cache",
    "X-Content-Type-Options": "nosniff",
  });
  createReadStream(found.file).pipe(response);
});
server.listen(port, "127.0.0.1", () => console.log(`http://localhost:${server.address().port}/`));
