// Writes a Unigram tokenizer.bin of a few pieces; there is no frame.
@testable import EdgepackCore

struct TinyUnigram {
    static let pieces: [(String, Double)] = [
        ("<unk>", 0), ("▁", -3), ("a", -1), ("b", -2), ("ab", -2.5), ("aa", -2), ("▁ab", -2.75), ("▁a", -2.5),
        ("!", -1), ("<0xC3>", -9), ("<0xA9>", -9), ("zz", -8), (" ", -1),
    ]

    var flags = 0
    var kind = 2
    var size = pieces.count + 2
    var unknown = 0
    var pieces = TinyUnigram.pieces
    var splitting = [[UInt8]]()
    var added = [(id: Int, flags: Int, content: String)]()
    var steps: [[UInt8]]?

    static let dropSpaces: [UInt8] = [1]
    static let splitMarks: [UInt8] = [2]

    static func metaspace(_ scheme: Int, splits: Bool = true, letter: String = "▁") -> [UInt8] {
        [3] + Fixtures.string(letter) + Fixtures.numbers([scheme, splits ? 1 : 0])
    }

    func read() throws -> Tokenizer { try Tokenizer(bytes()) }

    /// Pieces; `#n` is an added token.
    func tokens(_ text: String) throws -> [String] {
        try read().encode(text).inputIDs.map { $0 < pieces.count ? pieces[$0].0 : "#\($0)" }
    }

    func offsets(_ text: String) throws -> [Range<Int>] { try read().encode(text).offsetsCodePoint }

    func bytes() -> [UInt8] {
        var header = Fixtures.numbers([kind, flags, size, pieces.count, unknown, splitting.count])
        header += splitting.flatMap { $0 } + Fixtures.numbers([added.count])
        for token in added { header += Fixtures.numbers([token.id, token.flags]) + Fixtures.string(token.content) }
        header += Fixtures.numbers([1, 1, 0, 0]) + Fixtures.numbers([2, 1, 0, 0, 2, 0, 1])
        let lengths = Fixtures.numbers(pieces.flatMap { [0, $0.0.utf8.count] })
        let suffixes: [UInt8] = pieces.flatMap { Array($0.0.utf8) }
        let classes: [UInt8] = [[9, 32], [0x21], [0x4E2D]].flatMap(Fixtures.ranges)
        var streams = [header, lengths, suffixes, scores(), classes]
        if let steps { streams.append(TinySteps.stream(steps)) }
        return Fixtures.asset(version: 2, streams)
    }

    private func scores() -> [UInt8] {
        let isWide = flags & 8 != 0
        let bits: [UInt64] = pieces.map { isWide ? $0.1.bitPattern : UInt64(Float($0.1).bitPattern) }
        var planes = [UInt8]()
        for plane in 0..<(isWide ? 8 : 4) { planes += bits.map { UInt8($0 >> UInt64(8 * plane) & 0xFF) } }
        return planes
    }
}
