// The merges of a byte-level vocabulary: which pair of symbols becomes which one, and in what order.
//
// A merge's rank is its place in the order. Pairs are looked up in an open-addressed table of ranks, at most half full.

struct MergeTable: Sendable {
    struct Merge: Sendable {
        let left: Int32
        let right: Int32
        let made: Int32
    }

    static let byteCount = 256
    /// More symbols than three bytes can name are damage.
    private static let mostSymbols = 1 << 24
    /// Bytes of a token; a damaged file's could double with each merge.
    private static let longest: Int32 = 1 << 24

    private(set) var merges = [Merge]()
    /// How many spaces each symbol begins with; one of spaces alone begins and ends with all of them.
    private(set) var leading = [Int32](repeating: 0, count: byteCount)
    private(set) var trailing = [Int32](repeating: 0, count: byteCount)
    private var lengths = [Int32](repeating: 1, count: byteCount)
    private var slots: [Int32]  // rank + 1; 0 where free
    private let mask: Int

    init(capacity: Int) {
        var size = 16
        while size < 2 * capacity { size <<= 1 }
        slots = [Int32](repeating: 0, count: size)
        mask = size - 1
        leading[0x20] = 1
        trailing[0x20] = 1
        merges.reserveCapacity(capacity)
    }

    /// Bytes and what merges make.
    var symbolCount: Int { lengths.count }

    /// The rank of a pair's merge, or -1.
    func rank(_ left: Int32, _ right: Int32) -> Int { Int(slots[slot(left, right)]) - 1 }

    /// Adds the next merge; false where it is of or makes a symbol that cannot be.
    mutating func add(_ left: Int, _ right: Int, making made: Int) -> Bool {
        guard max(left, right) < symbolCount, Self.byteCount...symbolCount ~= made, made < Self.mostSymbols else {
            return false
        }
        let merge = Merge(left: Int32(left), right: Int32(right), made: Int32(made))
        merges.append(merge)
        slots[slot(merge.left, merge.right)] = Int32(merges.count)
        if made == symbolCount {
            lengths.append(0)
            leading.append(0)
            trailing.append(0)
        }
        lengths[made] = min(lengths[left] + lengths[right], Self.longest)
        leading[made] =
            leading[left] == lengths[left] ? min(leading[left] + leading[right], Self.longest) : leading[left]
        trailing[made] =
            trailing[right] == lengths[right] ? min(trailing[left] + trailing[right], Self.longest) : trailing[right]
        return true
    }

    /// Where the pair is, or the free place where it would be.
    private func slot(_ left: Int32, _ right: Int32) -> Int {
        let key = UInt64(UInt32(bitPattern: left)) << 32 | UInt64(UInt32(bitPattern: right))
        var slot = Int(truncatingIfNeeded: (key &* 0x9E37_79B9_7F4A_7C15) >> 32) & mask  // as Trie's
        while slots[slot] != 0 {
            let merge = merges[Int(slots[slot]) - 1]
            if merge.left == left, merge.right == right { break }
            slot = (slot + 1) & mask
        }
        return slot
    }
}
