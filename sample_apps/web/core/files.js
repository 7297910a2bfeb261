// A bundle's file, fetched once, compared with the manifest, kept.
//
// What is kept under a file's sha256 was hashed before; at each start only its length is compared. What arrives is kept
// in parts as it comes, so a download that breaks off goes on where it was (HTTP ranges); a server without ranges sends
// all of it again. A file of another length or hash never leaves this module. WebCrypto hashes only what is whole, so
// the file is in memory once: models are a few megabytes.
//
// A store is `read(name)`, `write(name, bytes)` and `remove(name)`, all asynchronous: store.js, or a Map in tests.

import { BundleError } from "./errors.js";

const PART_BYTES = 512 * 1024;
const TRIES = 4;
const FIRST_WAIT_MS = 500;
const STALL_MS = 20_000;

/**
 * The bytes of a file.
 * @param {import("./manifest.js").FileRecord} record
 * @param {string} url where it is fetched
 * @param {{read: Function, write: Function, remove: Function}} store
 * @param {{fetch?: Function, wait?: (ms: number) => Promise<void>, onProgress?: (bytes: number) => void}} options
 */
export async function openFile(record, url, store, options = {}) {
  const kept = await store.read(record.sha256);
  if (kept !== null && kept.length === record.bytes) return kept;
  if (kept !== null) await store.remove(record.sha256);
  const download = new Download(record, url, store, options);
  const resumed = await download.resume();
  let bytes = await download.finish();
  if (resumed && !(await matches(bytes, record))) {
    await download.drop(); // the parts may be an older file's
    bytes = await download.finish();
  }
  const sound = await matches(bytes, record);
  await download.drop();
  if (!sound) throw new BundleError(`The file ${record.path} is not the one that was checked when this app was made`);
  await store.write(record.sha256, bytes);
  return bytes;
}

/** Whether bytes have the manifest's length and hash. */
export async function matches(bytes, record) {
  if (bytes.length !== record.bytes) return false;
  const digest = new Uint8Array(await crypto.subtle.digest("SHA-256", bytes));
  return Array.from(digest, (byte) => byte.toString(16).padStart(2, "0")).join("") === record.sha256;
}

class Download {
  constructor(record, url, store, options) {
    this.record = record;
    this.url = url;
    this.store = store;
    this.fetch = options.fetch ?? ((...request) => fetch(...request));
    this.wait = options.wait ?? ((ms) => new Promise((resolve) => setTimeout(resolve, ms)));
    this.onProgress = options.onProgress ?? (() => {});
    this.parts = [];
  }

  get length() {
    return this.parts.reduce((sum, part) => sum + part.length, 0);
  }

  name(part) {
    return `${this.record.sha256}.part${part}`;
  }

  /** Take up the parts that an earlier download left; whether there were any. */
  async resume() {
    for (let part; (part = await this.store.read(this.name(this.parts.length))) !== null;) this.parts.push(part);
    if (this.length > this.record.bytes) await this.drop();
    return this.parts.length > 0;
  }

  /** Forget all parts. */
  async drop() {
    for (let i = 0; i < this.parts.length; i++) await this.store.remove(this.name(i));
    this.parts = [];
  }

  async keep(part) {
    await this.store.write(this.name(this.parts.length), part);
    this.parts.push(part);
  }

  /** Fetch what is missing, again where the connection fails; a failure after which more is here does not count. */
  async finish() {
    for (let failures = 0; this.length < this.record.bytes;) {
      const before = this.length;
      try {
        await this.attempt();
        break;
      } catch (error) {
        if (error instanceof BundleError) throw error;
        failures = this.length > before ? 0 : failures + 1;
        if (failures === TRIES) {
          const reason = `cannot be fetched (${error.message}); check the connection`;
          throw new BundleError(`The file ${this.record.path} ${reason}`, "unreachable");
        }
        await this.wait(FIRST_WAIT_MS * 2 ** failures);
      }
    }
    return joined(this.parts);
  }

  /** One request; an `Error` where another may help, a `BundleError` where not. */
  async attempt() {
    const abort = new AbortController();
    const watch = new Watch(() => abort.abort());
    const pending = new Pending();
    const from = this.length;
    const headers = from > 0 ? { Range: `bytes=${from}-` } : {};
    try {
      const response = await this.fetch(this.url, { headers, cache: "no-store", signal: abort.signal });
      await this.accept(response, from);
      const reader = response.body.getReader();
      for (let step; !(step = await reader.read()).done;) {
        watch.reset();
        await this.take(step.value, pending);
      }
    } finally {
      watch.stop();
      if (pending.length > 0) await this.keep(pending.take()); // also what came before the connection failed
      abort.abort();
    }
  }

  /** A chunk that arrived; kept once there is enough for a part. */
  async take(chunk, pending) {
    pending.push(chunk);
    if (this.length + pending.length > this.record.bytes) {
      pending.take();
      await this.drop();
      throw new BundleError(
        `The file ${this.record.path} is not the one that was checked when this app was made: longer`,
      );
    }
    this.onProgress(this.length + pending.length);
    if (pending.length >= PART_BYTES) await this.keep(pending.take());
  }

  /** Look at the answer's status: the rest of the file, all of it, or neither. */
  async accept(response, from) {
    const { status } = response;
    if (status === 206 && from > 0 && response.headers.get("Content-Range")?.startsWith(`bytes ${from}-`)) return;
    if (status === 200) {
      await this.drop();
      return;
    }
    if (status === 416 || status === 206) {
      await this.drop();
      throw new Error(`status ${status} for a part`);
    }
    if (status >= 500 || status === 408 || status === 429) throw new Error(`status ${status}`);
    throw new BundleError(`The file ${this.record.path} is not on the server (status ${status})`, "unreachable");
  }
}

/** Calls `act` when nothing has come for a while. */
class Watch {
  constructor(act) {
    this.act = act;
    this.reset();
  }

  reset() {
    clearTimeout(this.timer);
    this.timer = setTimeout(this.act, STALL_MS);
  }

  stop() {
    clearTimeout(this.timer);
  }
}

/** Chunks that arrived and are not kept yet. */
class Pending {
  constructor() {
    this.chunks = [];
    this.length = 0;
  }

  push(chunk) {
    this.chunks.push(chunk);
    this.length += chunk.length;
  }

  take() {
    const bytes = joined(this.chunks);
    this.chunks = [];
    this.length = 0;
    return bytes;
  }
}

function joined(parts) {
  const bytes = new Uint8Array(parts.reduce((sum, part) => sum + part.length, 0));
  let at = 0;
  for (const part of parts) {
    bytes.set(part, at);
    at += part.length;
  }
  return bytes;
}
