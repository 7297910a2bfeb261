// What tokenizers of every kind do: find added tokens, normalize what is between them, put the special tokens of the
// template, cut what is too long.
//
// Offsets are UTF-16 units, as JavaScript, Kotlin and Swift count them. A lone surrogate, for which the reference has no
// answer, counts as U+FFFD.

import { Letters } from "./letters.js";
import { SPACE } from "./stream.js";

const SHOWN_SPACE = 0x120; // a space as byte-level vocabularies write it
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

/** A tokenizer over an asset; each kind has its own `plain`, and may have its own `normalize`. */
export class Tokenizer {
  constructor(data) {
    this.data = data;
    this.points = data.points;
    this.early = byFirstPoint(data.added.filter((token) => !token.late));
    this.late = byFirstPoint(data.added.filter((token) => token.late));
    this.text = "";
    this.raw = new Letters();
    this.letters = new Letters(); // a stretch between early tokens, normalized
    this.spare = new Letters();
  }

  /**
   * Ids of a text or a pair with special tokens; the longer text is cut first where they are more than `maxLength`.
   * `offsets` holds start and end of each token in its own text, 0 and 0 for special tokens; `sequences` says which
   * text that is, −1 for none.
   * @param {string} text
   * @param {string | null} pair
   * @param {number} maxLength
   * @param {boolean} whole a longer text is not cut, since windows of that length read it; of a pair the shorter one may be
   */
  encode(text, pair = null, maxLength = Infinity, whole = false) {
    const template = pair === null ? this.data.single : this.data.pair;
    const room = maxLength - template.filter((piece) => piece.kind === SPECIAL).length;
    const texts = [this.tokenize(text, pair === null && !whole ? room : Infinity)];
    if (pair !== null) texts.push(this.tokenize(pair));
    const [first, second] = texts.map(({ ids }) => ids.length);
    const cut = whole ? keptOfPair : longestFirst;
    const kept = pair === null ? [whole ? first : Math.min(first, room)] : cut(first, second, room);
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
    this.text = text;
    this.raw.read(text);
    this.split(this.raw, this.early, out, (first, last) => {
      this.normalize(first, last);
      this.split(this.letters, this.late, out, (from, to) => this.plain(this.letters, from, to, out));
    });
    return out;
  }

  /** Make `letters` of a stretch of the raw ones. */
  normalize(first, last) {
    this.letters.copy(this.raw, first, last);
    const start = this.raw.starts[first];
    for (const step of this.data.normalizer) {
      if (step.apply(this.letters, this.spare, start)) [this.letters, this.spare] = [this.spare, this.letters];
    }
  }

  /** Push the added tokens of a group; hand what is left between them to `rest`. */
  split(letters, group, out, rest) {
    const { points, size } = letters;
    let done = 0;
    for (let at = 0; group.size > 0 && at < size && !out.full;) {
      const token = group.get(points[at])?.find(({ content }) => stands(content, points, at, size));
      if (token === undefined) {
        at++;
        continue;
      }
      let first = at;
      let last = (at += token.content.length);
      if (token.swallowsBefore) while (first > done && this.isSpace(points[first - 1])) first--;
      if (token.swallowsAfter) while (last < size && this.isSpace(points[last])) last++;
      if (first > done) rest(done, first);
      this.pushLetters(letters, token.id, first, last, out);
      done = last;
    }
    if (done < size && !out.full) rest(done, size);
  }

  /** Push a token that stands for some letters. */
  pushLetters({ points, starts, ends }, id, first, last, out) {
    let [leading, trailing] = [0, 0];
    if (this.data.trimOffsets) {
      const isSpace = (at) => points[at] === SHOWN_SPACE || this.isSpace(points[at]);
      while (first + leading < last && isSpace(first + leading)) leading++;
      while (last - trailing > first && isSpace(last - 1 - trailing)) trailing++;
    }
    this.push(id, starts[first], ends[last - 1], leading, trailing, out);
  }

  /** Push a token that begins and ends with so many spaces; they are code points, the one put first may be any. */
  push(id, start, end, leading, trailing, out) {
    if (!this.data.trimOffsets) {
      out.push(id, start, end);
      return;
    }
    // a single space before the first word may be the one that the tokenizer has put there
    const own = this.data.trimPrefixed && leading === 1 && (out.ids.length === 0 || start === 0);
    let first = start;
    for (let left = own ? 0 : leading; left > 0 && first < end; left--) first = after(this.text, first);
    let last = end;
    for (let left = trailing; left > 0; left--) last = last > 0 ? before(this.text, last) : -1;
    out.push(id, first, last < 0 ? end : Math.max(last, first));
  }

  /** Whether a code point is a space; all spaces are of one UTF-16 unit. */
  isSpace(point) {
    return (this.points[point] & SPACE) !== 0;
  }
}

/** The end of the code point at a place. */
export function after(text, at) {
  return at + (text.codePointAt(at) > 0xffff ? 2 : 1);
}

/** The start of the code point that ends at a place. */
export function before(text, end) {
  return end > 1 && text.codePointAt(end - 2) > 0xffff ? end - 2 : end - 1;
}

/** Added tokens by their first code point, the longest first; of those with the same content the last one counts. */
function byFirstPoint(added) {
  const groups = new Map();
  for (const token of [...added].reverse().sort((a, b) => b.content.length - a.content.length)) {
    const [first] = token.content;
    if (!groups.has(first)) groups.set(first, []);
    groups.get(first).push(token);
  }
  return groups;
}

/** Whether an added token stands at a place. */
function stands(content, points, at, size) {
  if (at + content.length > size) return false;
  for (let i = 1; i < content.length; i++) if (points[at + i] !== content[i]) return false;
  return true;
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

/** How many tokens of a pair windows read: all of the longer text, of the shorter at most half of the room. */
export function keptOfPair(first, second, room) {
  if (first + second <= room) return [first, second];
  const short = Math.min(first, second, Math.floor(room / 2));
  return first <= second ? [short, second] : [first, short];
}
