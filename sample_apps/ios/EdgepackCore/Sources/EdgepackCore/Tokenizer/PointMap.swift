// What the tokenizer must know of a code point, for all of Unicode, from the bundle and not from the device: iOS
// versions have different Unicode tables. Pages of 256 values; all pages of zeros are one.

struct PointMap<Value: FixedWidthInteger & Sendable>: Sendable {
    static var pointCount: Int { 0x110000 }

    private var pages = [Value](repeating: 0, count: 256)  // the first is the empty page
    private var pageOf = [UInt16](repeating: 0, count: Self.pointCount / 256)

    subscript(point: UInt32) -> Value {
        pages[Int(pageOf[Int(point >> 8)]) << 8 | Int(point & 0xFF)]
    }

    mutating func put(_ value: Value, at point: Int) throws {
        guard point < Self.pointCount else { throw ByteReader.damaged }
        if pageOf[point >> 8] == 0 {
            pageOf[point >> 8] = UInt16(pages.count >> 8)
            pages += [Value](repeating: 0, count: 256)
        }
        pages[Int(pageOf[point >> 8]) << 8 | point & 0xFF] = value
    }

    mutating func set(_ flag: Value, at point: Int) throws {
        guard point < Self.pointCount else { throw ByteReader.damaged }
        try put(self[UInt32(point)] | flag, at: point)
    }

    /// Sets a flag where a list of ranges says so.
    mutating func setRanges(_ flag: Value, _ reader: inout ByteReader) throws {
        for range in try reader.ranges() {
            for point in range { try set(flag, at: point) }
        }
    }
}

/// Eight flags a code point.
typealias PointTable = PointMap<UInt8>

extension PointMap where Value == UInt8 {
    static var removed: UInt8 { 1 }
    static var space: UInt8 { 2 }
    static var punctuation: UInt8 { 4 }
    static var padded: UInt8 { 8 }
    static var folds: UInt8 { 16 }  // of WordPiece
    static var ranked: UInt8 { 32 }
    static var letter: UInt8 { 16 }  // of byte-level BPE, which has no folds and no ranks
    static var number: UInt8 { 32 }
    static var gap: UInt8 { 64 }
    static var kinds: UInt8 { letter | number | gap }
}

/// The ranks of combining marks; 0 for all others.
typealias RankTable = PointMap<Int32>

extension PointMap where Value == Int32 {
    /// The table, and the marks in it.
    static func readRanks(_ reader: inout ByteReader) throws -> (RankTable, marks: [UInt32]) {
        var table = RankTable()
        let marks = try reader.points(try reader.count())
        for mark in marks { try table.put(Int32(try reader.number(below: Int(Int32.max))), at: Int(mark)) }
        return (table, marks)
    }
}

/// A few ranges of code points.
struct PointSet: Sendable {
    private let ranges: [Range<Int>]

    init(_ reader: inout ByteReader) throws {
        ranges = try reader.ranges()
    }

    func contains(_ point: UInt32) -> Bool {
        var (low, high) = (0, ranges.count)  // the first range that ends behind the point is between both
        while low < high {
            let middle = (low + high) / 2
            if ranges[middle].upperBound <= Int(point) { low = middle + 1 } else { high = middle }
        }
        return low < ranges.count && ranges[low].lowerBound <= Int(point)
    }
}
