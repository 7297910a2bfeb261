// One pass over a text by byte-level BPE: pieces, their bytes, the bytes' merges, offsets with or without spaces.

struct BytePairPass {
    private static let space: UInt32 = 0x20
    private static let shownSpace: UInt32 = 0x120  // a space as byte-level vocabularies write it

    private let asset: BytePairs
    private let text: [UInt32]
    private let limit: Int
    private let pattern: PiecePattern
    private var bytes: SymbolRun
    private(set) var tokens = [Token]()

    init(asset: BytePairs, text: [UInt32], limit: Int) {
        self.asset = asset
        self.text = text
        self.limit = limit
        pattern = PiecePattern(points: asset.points, text: text)
        bytes = SymbolRun(asset.merges)
    }

    /// An added token, with what it has swallowed.
    mutating func takeAdded(_ id: Int, _ range: Range<Int>) {
        let content = text[range]
        let leading = content.prefix(while: isTrimmed).count
        take(id, range, leading, leading == content.count ? leading : content.reversed().prefix(while: isTrimmed).count)
    }

    private func isTrimmed(_ point: UInt32) -> Bool {
        point == Self.shownSpace || asset.points[point] & PointTable.space != 0
    }

    /// The tokens of a part without added ones.
    mutating func run(_ range: Range<Int>) {
        var (at, end) = (range.lowerBound, range.upperBound)
        var isPrefixed = asset.prefixesSpace && text[at] != Self.space
        while at < end, tokens.count < limit {
            let next = pattern.end(of: at, below: end, isPrefixed: isPrefixed)
            bytes.clear()
            if isPrefixed { bytes.append(Self.space, from: at) }  // it has the first character's offset
            for place in at..<next { bytes.append(text[place], from: place) }
            bytes.merge()
            takeSymbols()
            (at, isPrefixed) = (next, false)
        }
    }

    private mutating func takeSymbols() {
        var place = 0
        while place < bytes.count {
            let found = bytes.symbol(at: place)
            let (leading, trailing) = (asset.merges.leading[found.symbol], asset.merges.trailing[found.symbol])
            take(asset.ids[found.symbol], found.first..<found.last + 1, Int(leading), Int(trailing))
            place = found.next
        }
    }

    /// Takes a token that begins and ends with so many spaces.
    private mutating func take(_ id: Int, _ range: Range<Int>, _ leading: Int, _ trailing: Int) {
        guard tokens.count < limit else { return }
        var (start, end) = (range.lowerBound, range.upperBound)
        if asset.trimsOffsets {
            let keepsOne = asset.keepsPrefix && leading == 1 && (tokens.isEmpty || start == 0)
            start = min(start + leading - (keepsOne ? 1 : 0), end)
            end = end >= trailing ? max(end - trailing, start) : end
        }
        tokens.append(Token(id: id, start: start, end: end))
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
