// What tokenizers of every kind do: find added tokens, put the special ones of the template, cut what is too long.
//
// Offsets are UTF-16 units, as JavaScript, Kotlin and Swift count them. A lone surrogate, for which the reference has no
// answer, counts as U+FFFD.

import { SPACE } from "./stream.js";

const REPLACEMENT = 0xfffd;
const SPECIAL = 0;
const FIRST = 1;

/** Tokens of one text: id, first UTF-16 unit, end. */
export class Tokens {
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

/** A tokenizer over an asset; each kind has its own `stretch`, and may have its own `addedToken`. */
export class Tokenizer {
  constructor(data) {
    this.data = data;
    this.points = data.points;
    this.early = byFirstUnit(data.added.filter((token) => !token.late));
    this.late = byFirstUnit(data.added.filter((token) => token.late));
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
    this.split(text, 0, text.length, this.early, out, (first, last) =>
      this.split(text, first, last, this.late, out, (start, end) => this.stretch(text, start, end, out)),
    );
    return out;
  }

  /** Push the added tokens of a group between `from` and `to`; hand what is left between them to `rest`. */
  split(text, from, to, group, out, rest) {
    let done = from;
    for (let at = from; at < to && !out.full;) {
      const token = group
        .get(text.charCodeAt(at))
        ?.find(({ content }) => at + content.length <= to && text.startsWith(content, at));
      if (token === undefined) {
        at++;
        continue;
      }
      let start = at;
      let end = (at += token.content.length);
      if (token.swallowsBefore) while (start > done && this.isSpace(text.charCodeAt(start - 1))) start--;
      if (token.swallowsAfter) while (end < to && this.isSpace(text.charCodeAt(end))) end++;
      if (start > done) rest(done, start);
      this.addedToken(text, token.id, start, end, out);
      done = end;
    }
    if (done < to) rest(done, to);
  }

  addedToken(text, id, start, end, out) {
    out.push(id, start, end);
  }

  /** Whether a UTF-16 unit is a space; all spaces are of one unit. */
  isSpace(unit) {
    return (this.points[unit] & SPACE) !== 0;
  }
}

/** The code point at a place. */
export function pointAt(text, at) {
  const point = text.codePointAt(at);
  return point >= 0xd800 && point < 0xe000 ? REPLACEMENT : point;
}

/** The end of the code point at a place. */
export function after(text, at) {
  return at + (text.codePointAt(at) > 0xffff ? 2 : 1);
}

/** The start of the code point that ends at a place. */
export function before(text, end) {
  return end > 1 && text.codePointAt(end - 2) > 0xffff ? end - 2 : end - 1;
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
