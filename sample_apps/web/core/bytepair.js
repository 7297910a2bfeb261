// Byte-level byte pair encoding, GPT-2's and RoBERTa's tokenizer: the ids and offsets of the Hugging Face fast one.
//
// GPT-2's pattern cuts a text into pieces; the bytes of each are merged (symbols.js). The reference in plain Python is
// edgepack/tokenizer/byte_pair_reader.py.

import { Tokenizer } from "./encoding.js";
import { GAP, LETTER, NUMBER } from "./merges.js";
import { Symbols } from "./symbols.js";

const BLANK = 0x20;
const APOSTROPHE = 0x27;
const KINDS = LETTER | NUMBER | GAP;
const CONTRACTIONS = ["s", "t", "re", "ve", "m", "ll", "d"].map((letters) => [...letters].map((l) => l.charCodeAt(0)));

export class BytePair extends Tokenizer {
  constructor(data) {
    super(data);
    this.symbols = new Symbols(data);
  }

  /** Tokens of letters without added ones. */
  plain(letters, from, to, out) {
    const { data, symbols } = this;
    const { points, starts, ends } = letters;
    let prefixed = data.prefixSpace && points[from] !== BLANK;
    for (let at = from; at < to && !out.full; prefixed = false) {
      const last = this.pieceEnd(points, at, to, prefixed);
      symbols.clear();
      if (prefixed) symbols.push(BLANK, at); // it has the first letter's offsets
      for (; at < last; at++) symbols.push(points[at], at);
      symbols.merge();
      symbols.each((symbol, first, final) =>
        this.push(data.ids[symbol], starts[first], ends[final], data.leading[symbol], data.trailing[symbol], out),
      );
    }
  }

  /**
   * The end of the piece at a place; `prefixed` says that a space is thought before it:
   * `'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+`
   */
  pieceEnd(points, at, to, prefixed) {
    const contraction = prefixed || points[at] !== APOSTROPHE ? undefined : contractionAt(points, at + 1, to);
    if (contraction !== undefined) return at + 1 + contraction.length;
    const first = !prefixed && points[at] === BLANK ? at + 1 : at;
    const kind = first < to ? this.kind(points[first]) : GAP;
    if (kind === GAP) return this.gapEnd(points, at, to, prefixed);
    let last = first;
    while (last < to && this.kind(points[last]) === kind) last++;
    return last;
  }

  /** The end of a run of spaces: all but the last, which belongs to what follows, where anything follows. */
  gapEnd(points, at, to, prefixed) {
    let behind = at;
    while (behind < to && this.kind(points[behind]) === GAP) behind++;
    return behind === to || (behind <= at + 1 && !prefixed) ? behind : Math.max(at, behind - 1);
  }

  kind(point) {
    return this.points[point] & KINDS;
  }
}

function contractionAt(points, at, to) {
  return CONTRACTIONS.find((each) => at + each.length <= to && each.every((point, i) => points[at + i] === point));
}
