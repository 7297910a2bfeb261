// BERT's tokenizer: the ids and offsets of the Hugging Face fast tokenizer, in one pass over the text.
//
// Each code point is looked up, folded and handed on: marks wait until their run ends, since they are sorted by rank;
// letters gather in a word; a space or a punctuation mark ends it; a finished word is cut into the longest tokens by
// walking the tree of the vocabulary. Buffers are kept from call to call, no string is made, no expression matched.
// Offsets are UTF-16 units, as JavaScript, Kotlin and Swift count them. The reference in plain Python is
// edgepack/wordpiece.py. A lone surrogate, for which the reference has no answer, counts as U+FFFD.

import { FOLDS, HANGUL, MARK, PADDED, PUNCTUATION, REMOVED, SPACE, readAsset } from "./asset.js";
import { Run } from "./marks.js";
import { ROOT } from "./trie.js";

const BLANK = 0x20;
const REPLACEMENT = 0xfffd;
const CHANGES = REMOVED | PADDED | FOLDS | MARK | HANGUL;
const SPECIAL = 0;
const FIRST = 1;

/** Tokens of one text: id, first UTF-16 unit, end. */
class Tokens {
  constructor(limit) {
    this.limit = limit;
    this.ids = [];
    this.starts = [];
    this.ends = [];
  }

  get full() {
    return this.ids.length >= this.limit;
  }

  push(id, start, end) {
    this.ids.push(id);
    this.starts.push(start);
    this.ends.push(end);
  }

  cut(length) {
    this.ids.length = this.starts.length = this.ends.length = length;
  }
}

export class WordPiece {
  /**
   * The tokenizer in a tokenizer.bin.
   * @param {Uint8Array} bytes
   */
  static async read(bytes) {
    return new WordPiece(await readAsset(bytes));
  }

  constructor(data) {
    this.data = data;
    this.points = data.points;
    this.added = byFirstUnit(data.added);
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

  /**
   * Ids of a text or a pair with special tokens; the longer text is cut first where they are more than `maxLength`.
   * `offsets` holds start and end of each token in its own text, 0 and 0 for special tokens; `sequences` says which
   * text that is, −1 for none.
   * @param {string} text
   * @param {string | null} pair
   * @param {number} maxLength
   */
  encode(text, pair = null, maxLength = Infinity) {
    const template = pair === null ? this.data.single : this.data.pair;
    const room = maxLength - template.filter((piece) => piece.kind === SPECIAL).length;
    const texts = [this.tokenize(text, pair === null ? room : Infinity)];
    if (pair !== null) texts.push(this.tokenize(pair));
    const kept =
      pair === null ? [Math.min(texts[0].ids.length, room)] : longestFirst(...texts.map((t) => t.ids.length), room);
    const out = { inputIds: [], tokenTypeIds: [], offsets: [], sequences: [] };
    const push = (id, typeId, start, end, sequence) => {
      out.inputIds.push(id);
      out.tokenTypeIds.push(typeId);
      out.offsets.push(start, end);
      out.sequences.push(sequence);
    };
    for (const { kind, id, typeId } of template) {
      if (kind === SPECIAL) {
        push(id, typeId, 0, 0, -1);
        continue;
      }
      const { ids, starts, ends } = texts[kind - FIRST];
      for (let i = 0; i < kept[kind - FIRST]; i++) push(ids[i], typeId, starts[i], ends[i], kind - FIRST);
    }
    return out;
  }

  /** A text's own tokens, at least the first `limit` of them. */
  tokenize(text, limit = Infinity) {
    const out = new Tokens(limit);
    let done = 0;
    for (let at = 0; at < text.length && !out.full;) {
      const token = this.added.get(text.charCodeAt(at))?.find(({ content }) => text.startsWith(content, at));
      if (token === undefined) {
        at++;
        continue;
      }
      let [start, end] = [at, at + token.content.length];
      if (token.swallowsBefore) while (start > done && this.isSpace(text.charCodeAt(start - 1))) start--;
      if (token.swallowsAfter) while (end < text.length && this.isSpace(text.charCodeAt(end))) end++;
      this.stretch(text, done, start, out);
      out.push(token.id, start, end);
      done = at = end;
    }
    this.stretch(text, done, text.length, out);
    return out;
  }

  /** Whether a UTF-16 unit is a space; all spaces are of one unit. */
  isSpace(unit) {
    return (this.points[unit] & SPACE) !== 0;
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
      out.push(this.data.unknownId, this.wordStart, this.after(this.wordEnd));
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
      this.out.push(id, this.sources[at], this.after(this.sources[end - 1]));
      at = end;
    }
    return true;
  }

  /** The end of the code point at `source`. */
  after(source) {
    return source + (pointAt(this.text, source) > 0xffff ? 2 : 1);
  }
}

function pointAt(text, at) {
  const point = text.codePointAt(at);
  return point >= 0xd800 && point < 0xe000 ? REPLACEMENT : point;
}

/** Added tokens by their first UTF-16 unit, the longest first. */
function byFirstUnit(added) {
  const groups = new Map();
  for (const token of [...added].sort((a, b) => b.content.length - a.content.length)) {
    const unit = token.content.charCodeAt(0);
    groups.set(unit, [...(groups.get(unit) ?? []), token]);
  }
  return groups;
}

/** How many tokens of each text fit into `room`, the longer one cut first. */
export function longestFirst(first, second, room) {
  if (first + second <= room) return [first, second];
  let short = Math.min(first, second);
  let long = Math.max(first, second);
  long = short > room ? short : Math.max(short, room - short);
  if (short + long > room) [short, long] = [Math.floor(room / 2), Math.ceil(room / 2)];
  return first <= second ? [short, long] : [long, short];
}
