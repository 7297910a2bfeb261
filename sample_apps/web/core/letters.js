// A text while it is normalized: code points, and of each the UTF-16 units of the text that it stands for.
//
// A step writes code points, each with a change: 0 takes the place of one letter, a negative one of that many more, a
// positive one is put in and takes none. A letter put in has the offsets of the one before it in the old text. Where
// steps sort, join or drop letters, those offsets are not what one would choose; they are those of the Hugging Face
// tokenizer. The reference in plain Python is edgepack/tokenizer/letters.py.

const REPLACEMENT = 0xfffd;

/** Letters in three flat arrays, which are kept from text to text. */
export class Letters {
  constructor() {
    this.size = 0;
    this.points = new Int32Array(64);
    this.starts = new Int32Array(64);
    this.ends = new Int32Array(64);
  }

  /** Room for so many more. */
  reserve(count) {
    if (this.size + count <= this.points.length) return;
    const room = Math.max(this.size + count, 2 * this.points.length);
    this.points = longer(this.points, room);
    this.starts = longer(this.starts, room);
    this.ends = longer(this.ends, room);
  }

  push(point, start, end) {
    if (this.size === this.points.length) this.reserve(1);
    this.points[this.size] = point;
    this.starts[this.size] = start;
    this.ends[this.size++] = end;
  }

  /** Become a text as it stands; a lone surrogate counts as U+FFFD. */
  read(text) {
    this.size = 0;
    this.reserve(text.length);
    const { points, starts, ends } = this;
    let size = 0;
    for (let at = 0; at < text.length; size++) {
      let point = text.charCodeAt(at);
      starts[size] = at++;
      if (point >= 0xd800 && point < 0xe000) {
        point = text.codePointAt(at - 1);
        if (point > 0xffff) at++;
        else point = REPLACEMENT;
      }
      points[size] = point;
      ends[size] = at;
    }
    this.size = size;
  }

  /** Become a part of other letters. */
  copy(other, first, last) {
    this.size = 0;
    this.append(other, first, last);
  }

  /** Add a part of other letters. */
  append(other, first, last) {
    this.reserve(last - first);
    this.points.set(other.points.subarray(first, last), this.size);
    this.starts.set(other.starts.subarray(first, last), this.size);
    this.ends.set(other.ends.subarray(first, last), this.size);
    this.size += last - first;
  }

  /** Keep the letters from `first` to `last`. */
  keep(first, last) {
    for (const array of [this.points, this.starts, this.ends]) array.copyWithin(0, first, last);
    this.size = last - first;
  }

  /** Become what changes make of other letters, which begin at `start` in the text and of which some are skipped. */
  become(old, changes, start, skipped = 0) {
    this.size = 0;
    this.reserve(changes.size);
    const { points, starts, ends } = this;
    let at = skipped;
    for (let i = 0; i < changes.size; i++) {
      const change = changes.changes[i];
      const source = change > 0 ? at - 1 : at;
      points[i] = changes.points[i];
      starts[i] = source < 0 ? start : old.starts[source];
      ends[i] = source < 0 ? start : old.ends[source];
      if (change <= 0) at += 1 - change;
    }
    this.size = changes.size;
  }
}

/** What a step writes. */
export class Changes {
  constructor() {
    this.size = 0;
    this.points = new Int32Array(64);
    this.changes = new Int32Array(64);
  }

  push(point, change) {
    if (this.size === this.points.length) {
      this.points = longer(this.points, 2 * this.size);
      this.changes = longer(this.changes, 2 * this.size);
    }
    this.points[this.size] = point;
    this.changes[this.size++] = change;
  }

  /** A list in the place of `old` letters: what is left over is put in, what is missing counted to the last one. */
  put(lists, place, old) {
    const length = lists.length(place);
    for (let i = 0; i < length; i++) this.push(lists.targets[lists.starts[place] + i], i < old ? 0 : 1);
    if (length < old && this.size > 0) this.changes[this.size - 1] += length - old;
  }
}

function longer(array, length) {
  const copy = new array.constructor(length);
  copy.set(array);
  return copy;
}
