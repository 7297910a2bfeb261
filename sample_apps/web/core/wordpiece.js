// BERT's tokenizer: the ids and offsets of the Hugging Face fast tokenizer, in one pass over the text.
//
// Each code point is looked up, folded and handed on: marks wait until their run ends, since they are sorted by rank;
// letters gather in a word; a space or a punctuation mark ends it; a finished word is cut into the longest tokens by
// walking the tree of the vocabulary. Buffers are kept from call to call, no string is made, no expression matched.
// Offsets are UTF-16 units, as JavaScript, Kotlin and Swift count them. The reference in plain Python is
// `WordPiece` in edgepack/tokenizer/reader.py.

import { FOLDS, HANGUL, MARK, REMOVED } from "./asset.js";
import { Tokenizer, Tokens, after, pointAt } from "./encoding.js";
import { Run } from "./marks.js";
import { PADDED, PUNCTUATION, SPACE } from "./stream.js";
import { ROOT } from "./trie.js";

const BLANK = 0x20;
const CHANGES = REMOVED | PADDED | FOLDS | MARK | HANGUL;

export class WordPiece extends Tokenizer {
  constructor(data) {
    super(data);
    this.continuing = data.trie.find(data.prefix);
    this.word = new Int32Array(data.longestWord); // code points of the word that is being read
    this.sources = new Int32Array(data.longestWord); // where each came from
    this.run = new Run();
    this.begin("", new Tokens(0), 0);
  }

  begin(text, out, start) {
    this.text = text;
    this.out = out;
    this.wordLength = 0;
    this.wordStart = this.wordEnd = start;
    this.lastSource = start;
    this.run.clear();
  }

  /** Tokens of a stretch without added ones. */
  stretch(text, start, end, out) {
    this.begin(text, out, start);
    for (let at = start; at < end && !out.full;) {
      const point = pointAt(text, at);
      const kind = this.points[point];
      if ((kind & CHANGES) !== 0) {
        this.change(point, kind, at);
      } else {
        this.endRun();
        this.letter(point, at);
      }
      at += point > 0xffff ? 2 : 1;
    }
    this.endRun();
    this.endWord();
  }

  /** A code point that is removed, padded, folded or sorted. */
  change(point, kind, source) {
    if ((kind & REMOVED) !== 0) return;
    const padded = (kind & PADDED) !== 0;
    if (padded) this.settle(BLANK, source);
    if ((kind & HANGUL) !== 0) {
      this.hangul(point, source);
    } else if ((kind & FOLDS) === 0) {
      this.place(point, source, !padded);
    } else {
      const fold = this.data.folds.get(point);
      for (let i = 0; i < fold.length; i++) this.place(fold[i], source, i === 0 && !padded);
      if (fold.length === 0 && !padded) this.vanish(point, kind, source);
    }
    if (padded) this.settle(BLANK, source);
  }

  /** A fold that leaves nothing: a mark still takes part in its run, anything else ends it. */
  vanish(point, kind, source) {
    if ((kind & MARK) === 0) this.endRun();
    else this.run.push(this.data.ranks.get(point), -1, true, source);
  }

  /** Canonical decomposition of a Hangul syllable (Unicode Standard, §3.12). */
  hangul(point, source) {
    const index = point - 0xac00;
    this.settle(0x1100 + Math.floor(index / 588), source);
    this.settle(0x1161 + (Math.floor(index / 28) % 21), source);
    if (index % 28 > 0) this.settle(0x11a7 + (index % 28), source);
  }

  /** A code point of a fold: a mark joins the run, any other ends it. */
  place(point, source, own) {
    if ((this.points[point] & MARK) === 0) this.settle(point, source);
    else this.run.push(this.data.ranks.get(point), point, own, source);
  }

  settle(point, source) {
    this.endRun();
    this.letter(point, source);
  }

  /**
   * Hand on the marks of a run in order of rank. Marks change places and the reference's offsets do not follow: the
   * first mark after sorting has the first mark's offset.
   */
  endRun() {
    const { run } = this;
    if (run.ranks.length === 0) return;
    let next = 0;
    let source = this.lastSource;
    for (const place of run.order()) {
      if (run.own[place]) source = run.offsets[next++];
      if (run.points[place] >= 0) this.letter(run.points[place], source);
    }
    run.clear();
  }

  /** A code point in its final form and order. */
  letter(point, source) {
    const kind = this.points[point];
    this.lastSource = source;
    if ((kind & (SPACE | PUNCTUATION)) === 0) {
      this.extend(point, source);
      return;
    }
    this.endWord();
    if ((kind & PUNCTUATION) !== 0) {
      this.extend(point, source);
      this.endWord();
    }
  }

  /** Add a letter to the word; of a word that is too long only its ends matter. */
  extend(point, source) {
    const length = this.wordLength++;
    if (length === 0) this.wordStart = source;
    this.wordEnd = source;
    if (length < this.word.length) {
      this.word[length] = point;
      this.sources[length] = source;
    }
  }

  /** Cut the word into the longest tokens; one unknown token where a piece has no match or it is too long. */
  endWord() {
    const length = this.wordLength;
    if (length === 0) return;
    this.wordLength = 0;
    const { out } = this;
    const before = out.ids.length;
    if (length > this.word.length || !this.match(length)) {
      out.cut(before);
      out.push(this.data.unknownId, this.wordStart, after(this.text, this.wordEnd));
    }
  }

  /** Push the word's pieces; false where one has no match. */
  match(length) {
    const { trie } = this.data;
    for (let at = 0; at < length;) {
      let node = at === 0 ? ROOT : this.continuing;
      let id = -1;
      let end = at;
      for (let i = at; i < length && node >= 0; i++) {
        node = trie.child(node, this.word[i]);
        if (node >= 0 && trie.ids[node] >= 0) [id, end] = [trie.ids[node], i + 1];
      }
      if (id < 0) return false;
      this.out.push(id, this.sources[at], after(this.text, this.sources[end - 1]));
      at = end;
    }
    return true;
  }
}
