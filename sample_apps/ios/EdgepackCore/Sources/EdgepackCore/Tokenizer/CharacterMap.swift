// SentencePiece's character map: a small cluster becomes the value of the shortest key that it begins with, else each
// code point its own.

struct CharacterMap: NormalizerStep {
    private static let small = 6  // bytes that a cluster must be below to be looked up whole

    let growth: Int
    private let clusters: Clusters
    private let single: FoldTable  // keys of one code point
    private let keys: Trie  // longer ones
    private let values: StringTable
    private var isActive = PointTable()  // 1 where a code point is a key, or the second of one

    init(_ reader: inout ByteReader) throws {
        clusters = try Clusters(&reader)
        single = try FoldTable(&reader)
        var (longer, values, longest) = (StringTable(), StringTable(), single.longest)
        for point in single.sources { try isActive.set(1, at: Int(point)) }
        for _ in 0..<(try reader.count()) {
            let key = try Self.readPoints(&reader)
            guard key.count > 1 else { throw ByteReader.damaged }
            longer.append(key)
            values.append(try Self.readPoints(&reader))
            longest = max(longest, values[values.count - 1].count)
            try isActive.set(1, at: Int(key[1]))
        }
        keys = try Trie(longer)
        self.values = values
        growth = longest
    }

    private static func readPoints(_ reader: inout ByteReader) throws -> [UInt32] {
        try reader.signedPoints(try reader.number(below: Bounds.fold + 1))
    }

    func apply(to letters: inout Letters) {
        guard letters.points.contains(where: { isActive[$0] != 0 }) else { return }
        let points = letters.points
        var (changes, start) = (Changes(capacity: points.count), 0)
        while start < points.count {
            let end = clusters.end(points, from: start)
            if let value = value(of: points[start..<end]) {
                put(value, for: end - start, into: &changes)
            } else {
                for point in points[start..<end] {
                    if let value = single[point] {
                        put(value, for: 1, into: &changes)
                    } else {
                        changes.append(point, 0)
                    }
                }
            }
            start = end
        }
        letters.apply(changes)
    }

    /// What a cluster becomes as a whole.
    private func value(of cluster: ArraySlice<UInt32>) -> ArraySlice<UInt32>? {
        if cluster.count >= Self.small { return nil }
        guard cluster.reduce(0, { $0 + utf8Count($1) }) < Self.small, let first = cluster.first else { return nil }
        if let value = single[first] { return value }
        var node = keys.step(from: 0, by: first)
        for point in cluster.dropFirst() where node >= 0 {
            node = keys.step(from: node, by: point)
            if node >= 0, keys.token(at: node) >= 0 { return values[keys.token(at: node)] }
        }
        return nil
    }

    /// A value in the place of `count` letters; what is left over is put in, what is missing counted to the last one.
    private func put(_ value: ArraySlice<UInt32>, for count: Int, into changes: inout Changes) {
        for (place, point) in value.enumerated() { changes.append(point, place < count ? 0 : 1) }
        if value.count < count { changes.takeMore(count - value.count) }
    }
}
