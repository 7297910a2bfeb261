// The tokenizer in a tokenizer.bin, of whichever kind it is.

import { BYTE_PAIR, UNIGRAM, WORD_PIECE, readAsset } from "./asset.js";
import { BytePair } from "./bytepair.js";
import { Unigram } from "./unigram.js";
import { WordPiece } from "./wordpiece.js";

const KINDS = { [WORD_PIECE]: WordPiece, [BYTE_PAIR]: BytePair, [UNIGRAM]: Unigram };

/**
 * @param {Uint8Array} bytes
 * @returns {Promise<import("./encoding.js").Tokenizer>}
 */
export async function readTokenizer(bytes) {
  const data = await readAsset(bytes);
  return new KINDS[data.kind](data);
}
