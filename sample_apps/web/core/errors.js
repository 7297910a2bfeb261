// What can go wrong with a bundle, as one kind of error whose message is written for the person at the screen.

/** A bundle that is damaged, incomplete, of another version, or cannot be fetched. */
export class BundleError extends Error {
  /**
   * @param {string} message what, the value, what to do
   * @param {"damaged" | "unreachable" | "unsupported"} kind
   */
  constructor(message, kind = "damaged") {
    super(message);
    this.name = "BundleError";
    this.kind = kind;
  }
}
