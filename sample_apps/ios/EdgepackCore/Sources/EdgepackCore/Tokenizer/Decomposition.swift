// NFD or NFKD, and with composition NFC or NFKC, by the tables of the bundle; Hangul by arithmetic.

struct Decomposition: NormalizerStep {
    private let composes: Bool
    private let folds: FoldTable
    private let ranks: RankTable
    private var pairs = [UInt64]()  // sorted: what composes, a code point in each half
    private var composed = [UInt32]()  // what each pair becomes
    private var seconds = PointTable()  // 1 where a code point may be joined to one before it
    private var isActive = PointTable()  // 1 where a code point may change the text

    var growth: Int { folds.longest }

    init(_ reader: inout ByteReader) throws {
        composes = try reader.number(below: 2) == 1
        folds = try FoldTable(&reader)
        let (ranks, marks) = try RankTable.readRanks(&reader)
        self.ranks = ranks
        if composes { try readPairs(&reader) }
        for mark in marks where ranks[mark] > 0 { try isActive.set(1, at: Int(mark)) }
        for source in folds.sources where !isStable(source) { try isActive.set(1, at: Int(source)) }
    }

    private mutating func readPairs(_ reader: inout ByteReader) throws {
        let count = try reader.count()
        let points = try reader.points(count)
        let (first, second) = (try reader.signedPoints(count), try reader.signedPoints(count))
        let keys = (0..<count).map { UInt64(first[$0]) << 32 | UInt64(second[$0]) }
        let order = keys.indices.sorted { (keys[$0], $0) < (keys[$1], $1) }
        (pairs, composed) = (order.map { keys[$0] }, order.map { points[$0] })
        for point in second + Array(Hangul.vowels) + Array(Hangul.trails) {
            try seconds.set(1, at: Int(point))
            try isActive.set(1, at: Int(point))
        }
    }

    /// Whether a code point is composed again to what it was, and nothing before it joins its parts.
    private func isStable(_ point: UInt32) -> Bool {
        guard composes, let first = folds[point]?.first, ranks[first] == 0, seconds[first] == 0 else { return false }
        let parts = composition(of: decomposition(of: [point]))
        return parts.points == [point] && parts.takes == [0]
    }

    func apply(to letters: inout Letters) {
        let mayChange = { (point: UInt32) in isActive[point] != 0 || (!composes && Hangul.isSyllable(point)) }
        guard letters.points.contains(where: mayChange) else { return }
        let parts = decomposition(of: letters.points)
        letters.apply(composes ? composition(of: parts) : parts)
    }

    /// Each code point's parts, runs of marks sorted by rank.
    private func decomposition(of points: [UInt32]) -> Changes {
        var parts = SortedParts(ranks: ranks, capacity: points.count)
        for point in points {
            if Hangul.isSyllable(point) {
                var change: Int32 = 0
                Hangul.decompose(point) { part in
                    parts.take(part, change)
                    change = 1
                }
            } else if let fold = folds[point] {
                for (place, part) in fold.enumerated() { parts.take(part, place == 0 ? 0 : 1) }
            } else {
                parts.take(point, 0)
            }
        }
        parts.flush()
        return parts.changes
    }

    /// A starter takes up what follows, over marks of a lower rank than its own.
    private func composition(of parts: Changes) -> Changes {
        var (changes, marks) = (Changes(capacity: parts.points.count), Changes(capacity: 0))
        var starter: (point: UInt32, change: Int32)?
        for (point, change) in zip(parts.points, parts.takes) {
            let rank = ranks[point]
            guard let before = starter else {
                if rank > 0 { changes.append(point, change) } else { starter = (point, change) }
                continue
            }
            let isBlocked = marks.points.last.map { ranks[$0] >= rank } ?? false
            if !isBlocked, let joined = join(before.point, point) {
                starter = (joined, before.change + change - 1)
            } else if rank > 0 {
                marks.append(point, change)
            } else {
                changes.append(before.point, before.change)
                changes.append(marks)
                marks.removeAll()
                starter = (point, change)
            }
        }
        if let starter { changes.append(starter.point, starter.change) }
        changes.append(marks)
        return changes
    }

    private func join(_ first: UInt32, _ second: UInt32) -> UInt32? {
        if seconds[second] == 0 { return nil }
        if let syllable = Hangul.compose(first, second) { return syllable }
        let key = UInt64(first) << 32 | UInt64(second)
        var (low, high) = (0, pairs.count)  // behind the last pair that is not greater
        while low < high {
            let middle = (low + high) / 2
            if pairs[middle] <= key { low = middle + 1 } else { high = middle }
        }
        return low > 0 && pairs[low - 1] == key ? composed[low - 1] : nil
    }
}

/// Code points with runs of marks sorted by rank, each with its change.
private struct SortedParts {
    private let ranks: RankTable
    private(set) var changes: Changes
    private var run = Changes(capacity: 0)

    init(ranks: RankTable, capacity: Int) {
        self.ranks = ranks
        changes = Changes(capacity: capacity)
    }

    mutating func take(_ point: UInt32, _ change: Int32) {
        if ranks[point] == 0 {
            flush()
            changes.append(point, change)
        } else {
            run.append(point, change)
        }
    }

    /// Ends a run.
    mutating func flush() {
        if run.isEmpty { return }
        if run.points.count == 1 {
            changes.append(run)
        } else {
            let order = run.points.indices.sorted {  // stable
                (ranks[run.points[$0]], $0) < (ranks[run.points[$1]], $1)
            }
            for place in order { changes.append(run.points[place], run.takes[place]) }
        }
        run.removeAll()
    }
}
