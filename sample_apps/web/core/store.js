// A store of files.js in the browser's Cache Storage: works in pages and workers of all current browsers, survives
// restarts, and belongs to this app's folder, so that two apps of one origin do not touch each other's files.

export class CacheStore {
  /** @param {string} scope the app's folder, as an absolute URL */
  constructor(scope) {
    this.scope = scope;
    this.name = `edgepack files ${scope}`;
    this.stored = true; // false once the browser refused to keep something
  }

  url(name) {
    return new URL(`kept/${name}`, this.scope).href;
  }

  async read(name) {
    const cache = await caches.open(this.name);
    const response = await cache.match(this.url(name));
    return response === undefined ? null : new Uint8Array(await response.arrayBuffer());
  }

  /** Keep bytes; a browser that has no room for them fetches them again next time. */
  async write(name, bytes) {
    try {
      const cache = await caches.open(this.name);
      await cache.put(this.url(name), new Response(bytes));
    } catch (error) {
      if (error.name !== "QuotaExceededError") throw error;
      this.stored = false;
    }
  }

  async remove(name) {
    const cache = await caches.open(this.name);
    await cache.delete(this.url(name));
  }

  /** Remove all but these: files of models that this app no longer has. */
  async keepOnly(names) {
    const cache = await caches.open(this.name);
    const wanted = new Set(names.map((name) => this.url(name)));
    for (const request of await cache.keys()) {
      const whole = request.url.replace(/\.part\d+$/, "");
      if (!wanted.has(whole)) await cache.delete(request);
    }
  }

  async clear() {
    await caches.delete(this.name);
  }
}
