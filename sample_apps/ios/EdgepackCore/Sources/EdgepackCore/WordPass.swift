// One pass over the parts of a text that are between added tokens: fold, sort marks, split into words, match.
//
// Marks change places when they are sorted and the reference's offsets do not follow them: the first mark after sorting
// has the first mark's offset, and a mark inside one code point's folding sorts too, without an offset of its own. A
// folding may be empty: of rank 0 it ends a run of marks, of a higher rank it takes part.

struct WordPass {
    private struct Mark {
        let rank: Int
        let point: UInt32?
        let hasOffset: Bool
    }

    private let asset: WordPieces
    private let text: [UInt32]
    private let limit: Int
    private(set) var tokens = [Token]()
    private var letters = [UInt32]()  // of the word that is open
    private var sources = [Int]()  // where in the text each letter came from
    private var lastSource = 0
    private var marks = [Mark]()
    private var markOffsets = [Int]()

    init(asset: WordPieces, text: [UInt32], limit: Int) {
        self.asset = asset
        self.text = text
        self.limit = limit
    }

    mutating func append(_ token: Token) {
        if tokens.count < limit { tokens.append(token) }
    }

    mutating func run(_ range: Range<Int>) {
        lastSource = range.lowerBound
        for index in range where tokens.count < limit {
            let point = text[index]
            let flags = asset.points[point]
            if flags & PointTable.removed != 0 { continue }
            if flags & ~(PointTable.space | PointTable.punctuation) == 0, !isHangul(point) {
                flushMarks()
                take(point, index, flags)
            } else {
                fold(point, index, flags)
            }
        }
        flushMarks()
        endWord()
    }

    private func isHangul(_ point: UInt32) -> Bool {
        asset.decomposesHangul && 0xAC00...0xD7A3 ~= point
    }

    private mutating func fold(_ point: UInt32, _ index: Int, _ flags: UInt8) {
        if flags & PointTable.padded != 0 { takeFolded(0x20, index, isFirst: true) }
        let isFirst = flags & PointTable.padded == 0
        if isHangul(point) {
            let syllable = point - 0xAC00
            takeFolded(0x1100 + syllable / 588, index, isFirst: isFirst)
            takeFolded(0x1161 + syllable % 588 / 28, index, isFirst: false)
            if syllable % 28 != 0 { takeFolded(0x11A7 + syllable % 28, index, isFirst: false) }
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
        let rank = asset.ranks[point] ?? 0
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
        guard flags & PointTable.ranked != 0, let rank = asset.ranks[point], rank > 0 else {
            flushMarks()
            take(point, index, flags)
            return
        }
        marks.append(Mark(rank: rank, point: point, hasOffset: isFirst))
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
            if let point = mark.point { take(point, source, asset.points[point]) }
        }
        marks.removeAll(keepingCapacity: true)
        markOffsets.removeAll(keepingCapacity: true)
    }

    /// A letter in its final place: goes on with the word, ends it, or is one.
    private mutating func take(_ point: UInt32, _ source: Int, _ flags: UInt8) {
        lastSource = source
        if flags & (PointTable.space | PointTable.punctuation) == 0 {
            letters.append(point)
            sources.append(source)
            return
        }
        endWord()
        if flags & PointTable.punctuation != 0 {
            letters.append(point)
            sources.append(source)
            endWord()
        }
    }

    /// Match the open word, longest token first; one unknown token where a piece has no match or the word is too long.
    private mutating func endWord() {
        guard let first = sources.first, let last = sources.last else { return }
        let count = tokens.count
        if letters.count > asset.longestWord || !matchPieces() {
            tokens.removeSubrange(count...)
            append(Token(id: asset.unknownID, start: first, end: last + 1))
        }
        if tokens.count > limit { tokens.removeSubrange(limit...) }
        letters.removeAll(keepingCapacity: true)
        sources.removeAll(keepingCapacity: true)
    }

    private mutating func matchPieces() -> Bool {
        var start = 0
        while start < letters.count {
            var node = start == 0 ? 0 : asset.prefixNode
            var (end, id) = (start, -1)
            var at = start
            while at < letters.count, node >= 0 {
                node = asset.vocabulary.step(from: node, by: letters[at])
                at += 1
                if node >= 0, asset.vocabulary.token(at: node) >= 0 {
                    (end, id) = (at, asset.vocabulary.token(at: node))
                }
            }
            if id < 0 { return false }
            tokens.append(Token(id: id, start: sources[start], end: sources[end - 1] + 1))
            start = end
        }
        return true
    }
}
