// The vocabulary as a trie over code points, its edges in one open-addressed table: longest match without making
// strings.
//
// An edge is (node, code point) → node, packed into one number; the table stays at most half full and is probed in
// order. Node 0 is the root.

struct Trie: Sendable {
    private var keys: [UInt64]  // 0 where free
    private var targets: [Int32]
    private var tokens: [Int32] = [-1]  // the id that ends at a node
    private var edgeCount = 0
    private var mask: Int

    init(capacity: Int) {
        var size = 1 << 10
        while size < 2 * capacity { size <<= 1 }
        keys = [UInt64](repeating: 0, count: size)
        targets = [Int32](repeating: 0, count: size)
        mask = size - 1
    }

    /// The token that ends at `node`, or -1.
    func token(at node: Int) -> Int { Int(tokens[node]) }

    /// The node one code point further, or -1.
    func step(from node: Int, by point: UInt32) -> Int {
        let key = Self.key(node, point)
        var slot = Self.hash(key) & mask
        while keys[slot] != 0 {
            if keys[slot] == key { return Int(targets[slot]) }
            slot = (slot + 1) & mask
        }
        return -1
    }

    /// The node that a string leads to, or -1.
    func node(of points: [UInt32]) -> Int {
        var node = 0
        for point in points where node >= 0 { node = step(from: node, by: point) }
        return node
    }

    mutating func insert(_ points: [UInt32], id: Int) {
        var node = 0
        for point in points {
            let next = step(from: node, by: point)
            node = next >= 0 ? next : addNode(below: node, by: point)
        }
        tokens[node] = Int32(id)
    }

    private mutating func addNode(below node: Int, by point: UInt32) -> Int {
        if 2 * (edgeCount + 1) > keys.count { grow() }
        put(Self.key(node, point), Int32(tokens.count))
        edgeCount += 1
        tokens.append(-1)
        return tokens.count - 1
    }

    private mutating func put(_ key: UInt64, _ target: Int32) {
        var slot = Self.hash(key) & mask
        while keys[slot] != 0 { slot = (slot + 1) & mask }
        keys[slot] = key
        targets[slot] = target
    }

    private mutating func grow() {
        let edges = zip(keys, targets).filter { $0.0 != 0 }
        keys = [UInt64](repeating: 0, count: 2 * keys.count)
        targets = [Int32](repeating: 0, count: keys.count)
        mask = keys.count - 1
        for (key, target) in edges { put(key, target) }
    }

    private static func key(_ node: Int, _ point: UInt32) -> UInt64 {
        UInt64(node) << 21 | (UInt64(point) + 1)
    }

    /// Fibonacci hashing: the high bits of a product with 2^64 / φ.
    private static func hash(_ key: UInt64) -> Int {
        Int(truncatingIfNeeded: (key &* 0x9E37_79B9_7F4A_7C15) >> 32)
    }
}
