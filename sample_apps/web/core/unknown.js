// How much of a text the vocabulary does not have; the reference is unknown_share in edgepack/predict/answer.py.

/** Above this share most of a text is unknown: its answer is doubtful, and a person should hear so. */
export const MOSTLY = 0.5;

/**
 * The share of a text's own tokens that are the unknown one; 0 where no token is, as with bytes.
 * @param {{inputIds: number[], offsets: number[]}} encoding special tokens, which stand for no letter, do not count
 * @param {number | undefined} unknownId
 */
export function unknownShare({ inputIds, offsets }, unknownId) {
  const own = inputIds.filter((_, i) => offsets[2 * i + 1] > offsets[2 * i]);
  return own.filter((id) => id === unknownId).length / Math.max(1, own.length);
}
