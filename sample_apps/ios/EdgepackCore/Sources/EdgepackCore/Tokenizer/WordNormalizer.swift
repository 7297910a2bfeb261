// BERT's normalizer for a part of a text: code points are removed, padded and folded, marks sorted by rank.
//
// Marks change places when they are sorted and the reference's offsets do not follow them: the first mark after sorting
// has the first mark's offset, and a mark inside one code point's folding sorts too, without an offset of its own. A
// folding may be empty: of rank 0 it ends a run of marks, of a higher rank it takes part.

struct WordNormalizer {
    private struct Mark {
        let rank: Int32
        let point: UInt32?
        let hasOffset: Bool
    }

    private let asset: WordPieces
    private let text: [UInt32]
    private let range: Range<Int>
    private var letters: Letters
    private var lastSource: Int
    private var marks = [Mark]()
    private var markOffsets = [Int]()

    init(asset: WordPieces, text: [UInt32], _ range: Range<Int>) {
        self.asset = asset
        self.text = text
        self.range = range
        letters = Letters(origin: range.lowerBound, capacity: range.count)
        lastSource = range.lowerBound
    }

    mutating func run() -> Letters {
        for index in range {
            let point = text[index]
            let flags = asset.points[point]
            if flags & PointTable.removed != 0 { continue }
            if flags & ~(PointTable.space | PointTable.punctuation) == 0, !isHangul(point) {
                flushMarks()
                take(point, index)
            } else {
                fold(point, index, flags)
            }
        }
        flushMarks()
        return letters
    }

    private func isHangul(_ point: UInt32) -> Bool {
        asset.decomposesHangul && Hangul.isSyllable(point)
    }

    private mutating func fold(_ point: UInt32, _ index: Int, _ flags: UInt8) {
        if flags & PointTable.padded != 0 { takeFolded(0x20, index, isFirst: true) }
        let isFirst = flags & PointTable.padded == 0
        if isHangul(point) {
            var isFirst = isFirst
            Hangul.decompose(point) { part in
                takeFolded(part, index, isFirst: isFirst)
                isFirst = false
            }
        } else if flags & PointTable.folds != 0, let targets = asset.folds[point] {
            if targets.isEmpty, isFirst { takeNothing(point, index) }
            for (position, target) in targets.enumerated() {
                takeFolded(target, index, isFirst: isFirst && position == 0)
            }
        } else {
            takeFolded(point, index, isFirst: isFirst)
        }
        if flags & PointTable.padded != 0 { takeFolded(0x20, index, isFirst: false) }
    }

    /// A code point whose folding is empty.
    private mutating func takeNothing(_ point: UInt32, _ index: Int) {
        let rank = asset.ranks[point]
        if rank == 0 {
            flushMarks()
        } else {
            marks.append(Mark(rank: rank, point: nil, hasOffset: true))
            markOffsets.append(index)
        }
    }

    /// One code point of a folding.
    private mutating func takeFolded(_ point: UInt32, _ index: Int, isFirst: Bool) {
        let flags = asset.points[point]
        guard flags & PointTable.ranked != 0, asset.ranks[point] > 0 else {
            flushMarks()
            take(point, index)
            return
        }
        marks.append(Mark(rank: asset.ranks[point], point: point, hasOffset: isFirst))
        if isFirst { markOffsets.append(index) }
    }

    private mutating func flushMarks() {
        if marks.isEmpty { return }
        var source = lastSource
        var next = 0
        for place in marks.indices.sorted(by: { (marks[$0].rank, $0) < (marks[$1].rank, $1) }) {  // stable
            let mark = marks[place]
            if mark.hasOffset {
                source = markOffsets[next]
                next += 1
            }
            if let point = mark.point { take(point, source) }
        }
        marks.removeAll(keepingCapacity: true)
        markOffsets.removeAll(keepingCapacity: true)
    }

    /// A letter in its final place.
    private mutating func take(_ point: UInt32, _ source: Int) {
        lastSource = source
        letters.append(point, Letters.Span(start: Int32(source), end: Int32(source + 1)))
    }
}
