// Combining marks change places: Unicode's canonical order sorts each run of them by rank, equal ranks as they came.

/** Marks that wait for the end of their run. */
export class Run {
  constructor() {
    this.ranks = [];
    this.points = []; // −1: a mark that vanishes
    this.own = []; // whether it has an offset of its own
    this.offsets = [];
    this.sorted = true;
  }

  push(rank, point, own, offset) {
    if (this.ranks.length > 0 && rank < this.ranks[this.ranks.length - 1]) this.sorted = false;
    this.ranks.push(rank);
    this.points.push(point);
    this.own.push(own);
    if (own) this.offsets.push(offset);
  }

  /** Places in order of rank, equal ranks as they came. */
  order() {
    const places = Array.from(this.ranks.keys());
    return this.sorted ? places : places.sort((a, b) => this.ranks[a] - this.ranks[b]);
  }

  clear() {
    this.ranks.length = this.points.length = this.own.length = this.offsets.length = 0;
    this.sorted = true;
  }
}
