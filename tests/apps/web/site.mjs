// A static server for a packaged site, that can be told to misbehave: other bytes for a path, connections cut, silence.

import { readFile } from "node:fs/promises";
import { createServer } from "node:http";
import { extname, join } from "node:path";

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

const SENT_MS = 1000; // how long a page has to read what was sent before its connection is cut

export class Site {
  /** @param {string} root the folder to serve */
  constructor(root) {
    this.root = root;
    this.changes = new Map(); // path → bytes → bytes
    this.cuts = new Map(); // path → after how many bytes the next answers end, in turn
    this.requests = [];
    this.server = createServer((request, response) => this.answer(request, response));
  }

  async open(port = 0) {
    await new Promise((resolve) => this.server.listen(port, "127.0.0.1", resolve));
    this.port = this.server.address().port;
    this.url = `http://localhost:${this.port}/`;
    return this;
  }

  async close() {
    this.server.closeAllConnections();
    await new Promise((resolve) => this.server.close(resolve));
  }

  async answer(request, response) {
    const path = decodeURIComponent(new URL(request.url, "http://localhost").pathname).slice(1) || "index.html";
    this.requests.push([path, request.headers.range ?? ""]);
    const found = await readFile(join(this.root, path)).catch(() => null);
    const cors = {
      "Access-Control-Allow-Origin": "*",
      "Access-Control-Allow-Headers": "Range",
      "Access-Control-Expose-Headers": "Content-Range",
    };
    if (request.method === "OPTIONS") return response.writeHead(204, cors).end();
    if (found === null) return response.writeHead(404, cors).end();
    const bytes = this.changes.get(path)?.(found) ?? found;
    const from = Number(/^bytes=(\d+)-$/.exec(request.headers.range ?? "")?.[1] ?? 0);
    response.writeHead(from > 0 ? 206 : 200, {
      ...cors,
      "Content-Type": TYPES[extname(path)] ?? "application/octet-stream",
      "Content-Length": bytes.length - from,
      ...(from > 0 ? { "Content-Range": `bytes ${from}-${bytes.length - 1}/${bytes.length}` } : {}),
    });
    const cut = this.cuts.get(path)?.shift();
    if (cut === undefined) return response.end(bytes.subarray(from));
    response.write(bytes.subarray(from, from + cut), () => setTimeout(() => response.destroy(), SENT_MS));
  }
}
