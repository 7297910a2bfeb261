// Byte-level byte pair encoding, GPT-2's and RoBERTa's tokenizer: version 2 of tokenizer.bin.
//
// Symbols 0 to 255 are bytes, each further one is what a merge makes, in the order of the merges: no token's text is in
// the file. A text is cut into pieces by GPT-2's pattern, and the bytes of each are merged (BytePairPass).

struct BytePairs: TokenModel {
    private static let planes = 3

    let size: Int
    /// A space is thought before each stretch that begins with none.
    let prefixesSpace: Bool
    let trimming: Trimming
    private(set) var merges: MergeTable
    private(set) var ids = [Int]()  // of each symbol
    private(set) var points = PointTable()
    private let normalizer: Normalizer

    /// From six or seven streams; of the first the frame is left.
    init(_ streams: inout [ByteReader]) throws {
        let flags = try streams[0].number()
        prefixesSpace = flags & 1 != 0
        trimming = Trimming(flags: flags)
        size = try streams[0].number(below: Bounds.tokens)
        normalizer = try Normalizer(&streams, at: 6)
        let (lefts, rights) = (try Self.readPlanes(&streams[2]), try Self.readPlanes(&streams[3]))
        guard lefts.count == rights.count, lefts.count <= streams[4].left else { throw ByteReader.damaged }
        merges = MergeTable(capacity: lefts.count)
        for (left, right) in zip(lefts, rights) {
            let made = merges.symbolCount + (try streams[4].signed())
            guard merges.add(left, right, making: made) else { throw ByteReader.damaged }
        }
        try readIDs(&streams[1])
        let flagsOfPattern = [PointTable.letter, PointTable.number, PointTable.gap]
        for flag in flagsOfPattern + [PointTable.space, PointTable.punctuation, PointTable.padded] {
            try points.setRanges(flag, &streams[5])
        }
        guard points[0x20] & PointTable.kinds == PointTable.gap else { throw ByteReader.damaged }  // or no piece ends
    }

    /// Numbers of three bytes: the low bytes of all, then the middle ones, then the high ones.
    private static func readPlanes(_ reader: inout ByteReader) throws -> [Int] {
        guard reader.left % planes == 0 else { throw ByteReader.damaged }
        let count = reader.left / planes
        var numbers = [Int](repeating: 0, count: count)
        for plane in 0..<planes {
            for (place, byte) in try reader.take(count).enumerated() { numbers[place] |= Int(byte) << (8 * plane) }
        }
        return numbers
    }

    /// Each id is stored as the step from the one before, less one.
    private mutating func readIDs(_ reader: inout ByteReader) throws {
        guard merges.symbolCount <= reader.left else { throw ByteReader.damaged }
        ids.reserveCapacity(merges.symbolCount)
        var id = -1
        for _ in 0..<merges.symbolCount {
            id += try reader.signed() + 1
            guard 0..<size ~= id else { throw ByteReader.damaged }
            ids.append(id)
        }
    }

    func letters(_ text: [UInt32], _ range: Range<Int>) -> Letters { normalizer.letters(text, range) }

    func pass(_ list: TokenList) -> any TokenPass { BytePairPass(asset: self, list: list) }
}
