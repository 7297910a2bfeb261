// Byte-level byte pair encoding, GPT-2's and RoBERTa's tokenizer: the ids and offsets of the Hugging Face fast one.
//
// GPT-2's pattern cuts a text into pieces; the bytes of each are merged (symbols.js). The reference in plain Python is
// `BytePair` in edgepack/tokenizer/reader.py.

import { Tokenizer, after, before, pointAt } from "./encoding.js";
import { GAP, LETTER, NUMBER } from "./merges.js";
import { Symbols } from "./symbols.js";

const BLANK = 0x20;
const SHOWN_SPACE = 0x120; // a space as byte-level vocabularies write it
const KINDS = LETTER | NUMBER | GAP;
const CONTRACTIONS = ["'s", "'t", "'re", "'ve", "'m", "'ll", "'d"];

export class BytePair extends Tokenizer {
  constructor(data) {
    super(data);
    this.symbols = new Symbols(data);
  }

  /** Tokens of a stretch without added ones. */
  stretch(text, start, end, out) {
    const { data, symbols } = this;
    let prefixed = data.prefixSpace && text.charCodeAt(start) !== BLANK;
    for (let at = start; at < end && !out.full; prefixed = false) {
      const last = this.pieceEnd(text, at, end, prefixed);
      symbols.clear();
      if (prefixed) symbols.push(BLANK, at); // it has the first character's offset
      for (; at < last; at = after(text, at)) symbols.push(pointAt(text, at), at);
      symbols.merge();
      symbols.each((symbol, first, final) =>
        this.push(text, data.ids[symbol], first, after(text, final), data.leading[symbol], data.trailing[symbol], out),
      );
    }
  }

  /** An added token, with what it has swallowed. */
  addedToken(text, id, start, end, out) {
    const isSpace = (at) => text.charCodeAt(at) === SHOWN_SPACE || this.isSpace(text.charCodeAt(at));
    let [leading, trailing] = [0, 0];
    while (start + leading < end && isSpace(start + leading)) leading++;
    while (end - trailing > start && isSpace(end - 1 - trailing)) trailing++;
    this.push(text, id, start, end, leading, trailing, out);
  }

  /** Push a token that begins and ends with so many spaces; they are code points, the one put first may be any. */
  push(text, id, start, end, leading, trailing, out) {
    if (!this.data.trimOffsets) {
      out.push(id, start, end);
      return;
    }
    // a single space before the first word may be the one that the tokenizer has put there
    const own = this.data.trimPrefixed && leading === 1 && (out.ids.length === 0 || start === 0);
    let first = start;
    for (let left = own ? 0 : leading; left > 0 && first < end; left--) first = after(text, first);
    let last = end;
    for (let left = trailing; left > 0; left--) last = last > 0 ? before(text, last) : -1;
    out.push(id, first, last < 0 ? end : Math.max(last, first));
  }

  /**
   * The end of the piece at a place; `prefixed` says that a space is thought before it:
   * `'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+`
   */
  pieceEnd(text, at, end, prefixed) {
    const contraction = prefixed ? undefined : CONTRACTIONS.find((each) => text.startsWith(each, at));
    if (contraction !== undefined && at + contraction.length <= end) return at + contraction.length;
    const first = !prefixed && text.charCodeAt(at) === BLANK ? at + 1 : at;
    const kind = first < end ? this.kind(text, first) : GAP;
    if (kind === GAP) return this.gapEnd(text, at, end, prefixed);
    let last = first;
    while (last < end && this.kind(text, last) === kind) last = after(text, last);
    return last;
  }

  /** The end of a run of spaces: all but the last, which belongs to what follows, where anything follows. */
  gapEnd(text, at, end, prefixed) {
    let last = at;
    let behind = at;
    for (; behind < end && this.kind(text, behind) === GAP; behind = after(text, behind)) last = behind;
    return behind === end || (last === at && !prefixed) ? behind : last;
  }

  kind(text, at) {
    return this.points[pointAt(text, at)] & KINDS;
  }
}
