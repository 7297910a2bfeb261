// One pass over the letters of a text by byte-level BPE: pieces, their bytes, the bytes' merges.

struct BytePairPass: TokenPass {
    private static let space: UInt32 = 0x20

    private let asset: BytePairs
    private var bytes: SymbolRun
    var list: TokenList

    init(asset: BytePairs, list: TokenList) {
        self.asset = asset
        self.list = list
        bytes = SymbolRun(asset.merges)
    }

    mutating func run(_ letters: Letters, _ range: Range<Int>) {
        let pattern = PiecePattern(points: asset.points, text: letters.points)
        var (at, end) = (range.lowerBound, range.upperBound)
        var isPrefixed = asset.prefixesSpace && letters.points[at] != Self.space
        while at < end, !list.isFull {
            let next = pattern.end(of: at, below: end, isPrefixed: isPrefixed)
            bytes.clear()
            if isPrefixed { bytes.append(Self.space, from: at) }  // it has the first letter's offset
            for place in at..<next { bytes.append(letters.points[place], from: place) }
            bytes.merge()
            takeSymbols(letters)
            (at, isPrefixed) = (next, false)
        }
    }

    private mutating func takeSymbols(_ letters: Letters) {
        var place = 0
        while place < bytes.count {
            let found = bytes.symbol(at: place)
            let (leading, trailing) = (asset.merges.leading[found.symbol], asset.merges.trailing[found.symbol])
            let source = letters.source(found.first..<found.last + 1)
            list.take(asset.ids[found.symbol], source, leading: Int(leading), trailing: Int(trailing))
            place = found.next
        }
    }
}

/// Where GPT-2's pattern splits a text: contractions, and runs of letters, of numbers, of spaces and of anything else.
///
/// `'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+`, with the asset's classes.
private struct PiecePattern {
    private static let contractions = ["'s", "'t", "'re", "'ve", "'m", "'ll", "'d"].map {
        $0.unicodeScalars.map(\.value)
    }

    let points: PointTable
    let text: [UInt32]

    /// The end of the piece at `at`, which is below `end`; a space may be thought before it.
    func end(of at: Int, below end: Int, isPrefixed: Bool) -> Int {
        if !isPrefixed, text[at] == 0x27 {
            let rest = text[at..<end]
            if let found = Self.contractions.first(where: { rest.starts(with: $0) }) { return at + found.count }
        }
        let first = !isPrefixed && text[at] == 0x20 ? at + 1 : at
        let kind = first < end ? kind(first) : PointTable.gap
        if kind == PointTable.gap { return gapEnd(of: at, below: end, isPrefixed: isPrefixed) }
        return run(of: kind, from: first, below: end)
    }

    private func run(of kind: UInt8, from start: Int, below end: Int) -> Int {
        var at = start
        while at < end, self.kind(at) == kind { at += 1 }
        return at
    }

    /// A run of spaces: all but the last, which belongs to what follows, where anything follows.
    private func gapEnd(of at: Int, below end: Int, isPrefixed: Bool) -> Int {
        let behind = run(of: PointTable.gap, from: at, below: end)
        let count = behind - at + (isPrefixed ? 1 : 0)
        return behind == end || count == 1 ? behind : behind - 1
    }

    private func kind(_ at: Int) -> UInt8 { points[text[at]] & PointTable.kinds }
}
