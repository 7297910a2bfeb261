// The bytes of one piece of a text and the symbols that merges make of them.
//
// Symbols are a linked list over the bytes; possible merges wait in a heap, so that a piece of n bytes takes n log n
// steps: the earliest merge goes first, the leftmost of equal ones. The arrays are kept from piece to piece.

struct SymbolRun {
    private static let gone: Int32 = -1

    private let table: MergeTable
    private var symbols = [Int32]()
    private var sources = [Int]()  // where each byte came from
    private var before = [Int]()
    private var after = [Int]()
    private var waiting = Heap()  // rank in the upper half, place in the lower

    init(_ table: MergeTable) {
        self.table = table
    }

    /// How many bytes there are: a place is below it.
    var count: Int { symbols.count }

    mutating func clear() {
        symbols.removeAll(keepingCapacity: true)
        sources.removeAll(keepingCapacity: true)
    }

    /// Adds the UTF-8 bytes of a code point, which comes from `source`.
    mutating func append(_ point: UInt32, from source: Int) {
        forEachUTF8(of: point) { byte in
            symbols.append(Int32(byte))
            sources.append(source)
        }
    }

    /// Applies all merges.
    mutating func merge() {
        before.removeAll(keepingCapacity: true)
        after.removeAll(keepingCapacity: true)
        for place in 0..<count {
            before.append(place - 1)
            after.append(place + 1)
        }
        for place in 0..<count { offer(place) }
        while let next = waiting.pop() { apply(rank: Int(next >> 32), at: Int(next & 0xFFFF_FFFF)) }
    }

    /// The symbol that begins at a place, with where its first and its last byte came from and where the next begins.
    func symbol(at place: Int) -> (symbol: Int, first: Int, last: Int, next: Int) {
        (Int(symbols[place]), sources[place], sources[after[place] - 1], after[place])
    }

    /// Puts the pair that begins at a place on the heap, if there is a merge for it.
    private mutating func offer(_ place: Int) {
        guard place >= 0, after[place] < count else { return }
        let rank = table.rank(symbols[place], symbols[after[place]])
        if rank >= 0 { waiting.push(UInt64(rank) << 32 | UInt64(place)) }
    }

    /// Merges the pair at a place, unless one of both was merged since.
    private mutating func apply(rank: Int, at place: Int) {
        let (other, merge) = (after[place], table.merges[rank])
        guard other < count, symbols[place] == merge.left, symbols[other] == merge.right else { return }
        symbols[place] = merge.made
        symbols[other] = Self.gone
        after[place] = after[other]
        if after[place] < count { before[after[place]] = place }
        offer(before[place])
        offer(place)
    }
}

/// A binary heap of numbers, the smallest first.
struct Heap {
    private var items = [UInt64]()

    mutating func push(_ item: UInt64) {
        items.append(item)
        var at = items.count - 1
        while at > 0, items[(at - 1) / 2] > item {
            items[at] = items[(at - 1) / 2]
            at = (at - 1) / 2
        }
        items[at] = item
    }

    mutating func pop() -> UInt64? {
        guard let smallest = items.first, let item = items.popLast() else { return nil }
        if items.isEmpty { return smallest }
        var at = 0
        while 2 * at + 1 < items.count {
            var child = 2 * at + 1
            if child + 1 < items.count, items[child + 1] < items[child] { child += 1 }
            if items[child] >= item { break }
            items[at] = items[child]
            at = child
        }
        items[at] = item
        return smallest
    }
}
