// SentencePiece's Unigram, the tokenizer of XLM-RoBERTa, ALBERT, T5, CamemBERT and DeBERTa-v2: the ids and offsets of the
// Hugging Face fast one. The reference in plain Python is edgepack/tokenizer/unigram_reader.py.

import { Tokenizer } from "./encoding.js";
import { Letters } from "./letters.js";
import { NONE } from "./pairs.js";
import { ALWAYS, FIRST, METASPACE, SPLIT_SPACES } from "./pieces.js";
import { PUNCTUATION, SPACE } from "./stream.js";
import { utf8Bytes } from "./symbols.js";
import { Ways } from "./ways.js";

const BLANK = 0x20;

export class Unigram extends Tokenizer {
  constructor(data) {
    super(data);
    this.ways = new Ways(data);
    this.shown = data.splitting.map(() => new Letters()); // what each step with a letter for spaces writes
    this.found = [];
  }

  /** Tokens of letters without added ones. */
  plain(letters, from, to, out) {
    this.part(letters, from, to, 0, out);
  }

  /** Tokens of a part that the splitting steps before `place` have made. */
  part(letters, from, to, place, out) {
    if (out.full) return;
    const step = this.data.splitting[place];
    if (step === undefined) this.pieces(letters, from, to, out);
    else if (step.kind === METASPACE) this.atSpaces(letters, from, to, place, out);
    else this.atClass(letters, from, to, place, out);
  }

  /** Split at spaces, which go, or around punctuation marks. */
  atClass(letters, from, to, place, out) {
    const drops = this.data.splitting[place].kind === SPLIT_SPACES;
    const bit = drops ? SPACE : PUNCTUATION;
    let done = from;
    for (let at = from; at < to; at++) {
      if ((this.points[letters.points[at]] & bit) === 0) continue;
      if (at > done) this.part(letters, done, at, place + 1, out);
      if (!drops) this.part(letters, at, at + 1, place + 1, out);
      done = at + 1;
    }
    if (done < to) this.part(letters, done, to, place + 1, out);
  }

  /** Write spaces as the step's letter, put one first where it says so, and begin a part at each. */
  atSpaces(letters, from, to, place, out) {
    const { letter, scheme, splits } = this.data.splitting[place];
    const shown = this.shown[place];
    const [point, start, end] = [letters.points[from], letters.starts[from], letters.ends[from]];
    const isShown = point === BLANK || point === letter;
    shown.size = 0;
    if (!isShown && (scheme === ALWAYS || (scheme === FIRST && start === 0))) shown.push(letter, start, end);
    shown.append(letters, from, to);
    let done = 0;
    for (let at = 0; at < shown.size; at++) {
      if (shown.points[at] === BLANK) shown.points[at] = letter;
      if (!splits || at === done || shown.points[at] !== letter) continue;
      this.part(shown, done, at, place + 1, out);
      done = at;
    }
    this.part(shown, done, shown.size, place + 1, out);
  }

  /** The most likely pieces; unknown ones side by side are one token, or their known bytes. */
  pieces(letters, from, to, out) {
    const { ways } = this;
    const { unknownId } = this.data;
    ways.find(letters.points, from, to);
    const length = to - from;
    for (let at = 0, end; at < length; at = end) {
      end = ways.next[at];
      const id = ways.ids[end];
      if (id !== unknownId) {
        this.pushLetters(letters, id, from + at, from + end, out);
        continue;
      }
      while (end < length && ways.ids[ways.next[end]] === unknownId) end = ways.next[end];
      this.unknown(letters, from + at, from + end, out);
    }
  }

  /** Letters of unknown pieces, which together may be one that is known. */
  unknown(letters, first, last, out) {
    const { trie, unknownId } = this.data;
    const node = trie.walk(letters.points, first, last);
    const whole = node === NONE ? NONE : trie.ids[node];
    if (whole === NONE && this.spell(letters.points, first, last)) {
      for (const id of this.found) this.pushLetters(letters, id, first, last, out);
    } else {
      this.pushLetters(letters, whole === NONE ? unknownId : whole, first, last, out);
    }
  }

  /** Find the pieces of all bytes; false where one is missing. */
  spell(points, first, last) {
    const { bytePieces } = this.data;
    if (bytePieces === null) return false;
    this.found.length = 0;
    for (let at = first; at < last; at++) utf8Bytes(points[at], (byte) => this.found.push(bytePieces[byte]));
    return !this.found.includes(NONE);
  }
}
