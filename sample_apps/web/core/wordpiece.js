// BERT's tokenizer: the ids and offsets of the Hugging Face fast tokenizer, in one pass over the text and one over its
// letters.
//
// Each code point is looked up, folded and handed on: marks wait until their run ends, since they are sorted by rank.
// A space or a punctuation mark ends a word; a word is cut into the longest tokens by walking the tree of the vocabulary.
// Buffers are kept from call to call, no string is made, no expression matched. The reference in plain Python is
// edgepack/tokenizer/word_piece_reader.py.

import { FOLDS, HANGUL, MARK, REMOVED } from "./asset.js";
import { eachJamo } from "./hangul.js";
import { Tokenizer } from "./encoding.js";
import { Run } from "./marks.js";
import { NONE } from "./pairs.js";
import { PADDED, PUNCTUATION, SPACE } from "./stream.js";
import { ROOT } from "./trie.js";

const BLANK = 0x20;
const CHANGES = REMOVED | PADDED | FOLDS | MARK | HANGUL;

export class WordPiece extends Tokenizer {
  constructor(data) {
    super(data);
    this.continuing = data.trie.find(data.prefix);
    this.run = new Run();
  }

  /** Make `letters` of a stretch of the raw ones; a source is the place of a raw one. */
  normalize(first, last) {
    const { points } = this.raw;
    this.letters.size = 0;
    this.lastSource = first;
    this.run.clear();
    for (let at = first; at < last; at++) {
      const kind = this.points[points[at]];
      if ((kind & CHANGES) !== 0) this.change(points[at], kind, at);
      else this.settle(points[at], at);
    }
    this.endRun();
  }

  /** A code point that is removed, padded, folded or sorted. */
  change(point, kind, source) {
    if ((kind & REMOVED) !== 0) return;
    const padded = (kind & PADDED) !== 0;
    if (padded) this.settle(BLANK, source);
    if ((kind & HANGUL) !== 0) {
      eachJamo(point, (jamo) => this.settle(jamo, source));
    } else if ((kind & FOLDS) === 0) {
      this.place(point, source, !padded);
    } else {
      const { starts, targets } = this.data.folds;
      const place = this.data.folds.find(point);
      for (let i = starts[place]; i < starts[place + 1]; i++)
        this.place(targets[i], source, i === starts[place] && !padded);
      if (this.data.folds.length(place) === 0 && !padded) this.vanish(point, kind, source);
    }
    if (padded) this.settle(BLANK, source);
  }

  /** A fold that leaves nothing: a mark still takes part in its run, anything else ends it. */
  vanish(point, kind, source) {
    if ((kind & MARK) === 0) this.endRun();
    else this.run.push(this.data.ranks.get(point), -1, true, source);
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
    this.lastSource = source;
    this.letters.push(point, this.raw.starts[source], this.raw.ends[source]);
  }

  /** Tokens of letters without added ones: words, split at spaces, and punctuation marks. */
  plain(letters, from, to, out) {
    let done = from;
    for (let at = from; at < to && !out.full; at++) {
      const kind = this.points[letters.points[at]];
      if ((kind & (SPACE | PUNCTUATION)) === 0) continue;
      if (at > done) this.word(letters, done, at, out);
      if ((kind & PUNCTUATION) !== 0) this.word(letters, at, at + 1, out);
      done = at + 1;
    }
    if (done < to && !out.full) this.word(letters, done, to, out);
  }

  /** Cut a word into the longest tokens; one unknown token where a piece has no match or it is too long. */
  word(letters, first, last, out) {
    const before = out.ids.length;
    if (last - first <= this.data.longestWord && this.match(letters, first, last, out)) return;
    out.cut(before);
    out.push(this.data.unknownId, letters.starts[first], letters.ends[last - 1]);
  }

  /** Push the word's pieces; false where one has no match. */
  match({ points, starts, ends }, first, last, out) {
    const { trie } = this.data;
    for (let at = first; at < last;) {
      let node = at === first ? ROOT : this.continuing;
      let id = NONE;
      let end = at;
      for (let i = at; i < last && node !== NONE; i++) {
        node = trie.child(node, points[i]);
        if (node !== NONE && trie.ids[node] !== NONE) [id, end] = [trie.ids[node], i + 1];
      }
      if (id === NONE) return false;
      out.push(id, starts[at], ends[end - 1]);
      at = end;
    }
    return true;
  }
}
