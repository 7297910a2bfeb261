// Unigram, the tokenizer of SentencePiece's language models (Kudo 2018): version 2 of tokenizer.bin, kind 2.
//
// A text is normalized, cut by the pre-tokenizer's steps (Splitting), and each stretch is split into the pieces whose
// scores add up to the most (UnigramPass).

struct Unigram: TokenModel {
    private static let penalty = 10.0  // below the lowest score: that of an unknown character

    let size: Int
    let unknownID: Int
    let unknownScore: Double
    let trimming: Trimming
    let vocabulary: Trie
    let scores: [Double]
    let splitting: [Splitting]
    /// Pieces of unknown characters' bytes, -1 where there is none; nil where bytes are not asked for.
    let byteIDs: [Int]?
    private(set) var points = PointTable()
    private let normalizer: Normalizer

    /// From five or six streams; of the first the frame is left.
    init(_ streams: inout [ByteReader]) throws {
        let flags = try streams[0].number()
        trimming = Trimming(flags: flags)
        size = try streams[0].number(below: Bounds.tokens)
        let count = try streams[0].number(below: size + 1)
        unknownID = try streams[0].number(below: count)
        var splitting = [Splitting]()
        for _ in 0..<(try streams[0].count(atMost: Bounds.splitting)) { splitting.append(try Splitting(&streams[0])) }
        self.splitting = splitting
        var (lengths, suffixes) = (streams[1], streams[2])
        let vocabulary = try Trie(try StringTable(count, &lengths, &suffixes))
        self.vocabulary = vocabulary
        scores = try Self.readScores(&streams[3], count, isWide: flags & 8 != 0)
        unknownScore = scores.min()! - Self.penalty  // there is an unknown piece
        for flag in [PointTable.space, PointTable.punctuation, PointTable.padded] {
            try points.setRanges(flag, &streams[4])
        }
        byteIDs = flags & 1 == 0 ? nil : (0..<256).map { vocabulary.token(of: Self.name(ofByte: $0)) }
        normalizer = try Normalizer(&streams, at: 5)
    }

    /// IEEE 754, the lowest bytes of all first.
    private static func readScores(_ reader: inout ByteReader, _ count: Int, isWide: Bool) throws -> [Double] {
        var bits = [UInt64](repeating: 0, count: count)
        for plane in 0..<(isWide ? 8 : 4) {
            for (place, byte) in try reader.take(count).enumerated() { bits[place] |= UInt64(byte) << (8 * plane) }
        }
        let scores = bits.map { isWide ? Double(bitPattern: $0) : Double(Float(bitPattern: UInt32($0))) }
        guard scores.allSatisfy(\.isFinite) else { throw ByteReader.damaged }
        return scores
    }

    /// `<0x0A>`, as vocabularies write a byte.
    private static func name(ofByte byte: Int) -> [UInt32] {
        let digits = Array("0123456789ABCDEF".unicodeScalars)
        return "<0x".unicodeScalars.map(\.value) + [digits[byte >> 4].value, digits[byte & 15].value, 0x3E]
    }

    func letters(_ text: [UInt32], _ range: Range<Int>) -> Letters { normalizer.letters(text, range) }

    func pass(_ list: TokenList) -> any TokenPass { UnigramPass(asset: self, list: list) }
}
