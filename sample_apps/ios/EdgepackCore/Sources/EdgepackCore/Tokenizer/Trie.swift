// A vocabulary as a trie over code points: longest match and all matches without making strings.
//
// Nodes are numbered level by level, so a node's children stand side by side, sorted by their code point: twelve bytes
// a node. Node 0 is the root, whose children, often thousands, are in a table.

struct Trie: Sendable {
    private struct Entry {
        let start: UInt64  // the first three code points
        let number: Int32
    }

    private static let startLength = 3

    private var labels: [UInt32] = [0]  // the code point that leads to a node
    private var tokens: [Int32] = [-1]  // the number of the string that ends at a node
    private var firstChild = [Int32]()  // a node's children end where the next one's begin
    private var rootChildren = PointMap<Int32>()

    /// Of strings by number, without the empty ones; of equal ones the last counts.
    init(_ strings: StringTable) throws {
        let sorted = Self.sorted(strings)
        var ranges = [0..<sorted.count]  // of each node: the strings that go through it
        var (node, depth, levelEnd) = (0, 0, 1)
        while node < labels.count {
            if node == levelEnd { (depth, levelEnd) = (depth + 1, labels.count) }
            firstChild.append(Int32(labels.count))
            let range = ranges[node]
            var at = range.lowerBound
            while at < range.upperBound, strings.range(Int(sorted[at])).count == depth {
                tokens[node] = sorted[at]
                at += 1
            }
            while at < range.upperBound {
                let start = at
                let label = strings.points[strings.range(Int(sorted[at])).lowerBound + depth]
                repeat { at += 1 } while at < range.upperBound
                    && strings.points[strings.range(Int(sorted[at])).lowerBound + depth] == label
                if node == 0 { try rootChildren.put(Int32(labels.count), at: Int(label)) }
                labels.append(label)
                tokens.append(-1)
                ranges.append(start..<at)
            }
            node += 1
        }
        firstChild.append(Int32(labels.count))
    }

    /// Numbers of the strings in their order.
    private static func sorted(_ strings: StringTable) -> [Int32] {
        var entries = [Entry]()
        entries.reserveCapacity(strings.count)
        for number in 0..<strings.count {
            let range = strings.range(number)
            if range.isEmpty { continue }
            var start: UInt64 = 0
            for place in 0..<startLength {
                start = start << 21 | (place < range.count ? UInt64(strings.points[range.lowerBound + place]) + 1 : 0)
            }
            entries.append(Entry(start: start, number: Int32(number)))
        }
        entries.sort { first, second in
            if first.start != second.start { return first.start < second.start }
            let (one, other) = (strings.range(Int(first.number)), strings.range(Int(second.number)))
            var place = startLength
            while place < one.count, place < other.count {
                let (left, right) = (
                    strings.points[one.lowerBound + place], strings.points[other.lowerBound + place]
                )
                if left != right { return left < right }
                place += 1
            }
            return (one.count, first.number) < (other.count, second.number)
        }
        return entries.map(\.number)
    }

    /// The string that ends at `node`, or -1.
    func token(at node: Int) -> Int { Int(tokens[node]) }

    /// The node one code point further, or -1.
    func step(from node: Int, by point: UInt32) -> Int {
        if node == 0 {
            let child = Int(rootChildren[point])
            return child == 0 ? -1 : child
        }
        var (low, high) = (Int(firstChild[node]), Int(firstChild[node + 1]))
        let end = high
        while low < high {
            let middle = (low + high) >> 1
            if labels[middle] < point { low = middle + 1 } else { high = middle }
        }
        return low < end && labels[low] == point ? low : -1
    }

    /// The node that a string leads to, or -1.
    func node(of points: some Sequence<UInt32>) -> Int {
        var node = 0
        for point in points {
            node = step(from: node, by: point)
            if node < 0 { break }
        }
        return node
    }

    /// The string equal to this one, or -1.
    func token(of points: some Sequence<UInt32>) -> Int {
        let node = node(of: points)
        return node < 0 ? -1 : token(at: node)
    }
}
