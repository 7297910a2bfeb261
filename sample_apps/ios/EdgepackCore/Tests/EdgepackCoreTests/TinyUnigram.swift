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
        let lengths = pieces.flatMap { piece -> [UInt8] in [0] + Fixtures.numbers([piece.0.utf8.count]) }
        let classes = Fixtures.ranges([9, 32]) + Fixtures.ranges([0x21]) + Fixtures.ranges([0x4E2D])
        let streams = [header, lengths, pieces.flatMap { Array($0.0.utf8) }, scores(), classes]
        return Fixtures.asset(version: 2, streams + (steps.map { [TinySteps.stream($0)] } ?? []))
    }

    private func scores() -> [UInt8] {
        let isWide = flags & 8 != 0
        let bits = pieces.map { isWide ? $0.1.bitPattern : UInt64(Float($0.1).bitPattern) }
        return (0..<(isWide ? 8 : 4)).flatMap { plane in bits.map { UInt8($0 >> (8 * plane) & 0xFF) } }
    }
}
