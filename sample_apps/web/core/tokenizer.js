// The tokenizer in a tokenizer.bin, of whichever kind it is.

import { WORD_PIECE, readAsset } from "./asset.js";
import { BytePair } from "./bytepair.js";
import { WordPiece } from "./wordpiece.js";

/**
 * @param {Uint8Array} bytes
 * @returns {Promise<import("./encoding.js").Tokenizer>}
 */
export async function readTokenizer(bytes) {
  const data = await readAsset(bytes);
  return data.version === WORD_PIECE ? new WordPiece(data) : new BytePair(data);
}
