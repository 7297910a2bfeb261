// What the tokenizer must know of a code point, for all of Unicode, from the bundle and not from the device: iOS
// versions have different Unicode tables. Eight flags a code point in pages of 256; all pages without a flag are one.

struct PointTable: Sendable {
    static let removed: UInt8 = 1
    static let space: UInt8 = 2
    static let punctuation: UInt8 = 4
    static let padded: UInt8 = 8
    static let folds: UInt8 = 16
    static let ranked: UInt8 = 32
    static let letter: UInt8 = 16  // of byte-level BPE, which has no folds and no ranks
    static let number: UInt8 = 32
    static let gap: UInt8 = 64
    static let kinds = letter | number | gap
    static let pointCount = 0x110000

    private var pages: [UInt8]  // 256 flags each; the first is the empty page
    private var pageOf: [Int32]

    init() {
        pages = [UInt8](repeating: 0, count: 256)
        pageOf = [Int32](repeating: 0, count: Self.pointCount / 256)
    }

    subscript(point: UInt32) -> UInt8 {
        pages[Int(pageOf[Int(point >> 8)]) << 8 | Int(point & 0xFF)]
    }

    mutating func set(_ flag: UInt8, at point: Int) throws {
        guard point < Self.pointCount else { throw ByteReader.damaged }
        if pageOf[point >> 8] == 0 {
            pageOf[point >> 8] = Int32(pages.count >> 8)
            pages += [UInt8](repeating: 0, count: 256)
        }
        pages[Int(pageOf[point >> 8]) << 8 | point & 0xFF] |= flag
    }

    /// Sets a flag where a list of ranges says so.
    mutating func setRanges(_ flag: UInt8, _ reader: inout ByteReader) throws {
        var end = 0
        for _ in 0..<(try reader.count()) {
            let start = end + (try reader.number())
            end = start + (try reader.number())
            guard end <= Self.pointCount else { throw ByteReader.damaged }
            for point in start..<end { try set(flag, at: point) }
        }
    }
}
