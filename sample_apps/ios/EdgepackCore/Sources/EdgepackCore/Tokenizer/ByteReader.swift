// Takes bytes, LEB128 numbers and UTF-8 strings off the front of a stream; what is not there is an error, not a crash.

struct ByteReader {
    private let bytes: [UInt8]
    private(set) var position = 0

    init(_ bytes: [UInt8]) {
        self.bytes = bytes
    }

    /// How many bytes are not read yet.
    var left: Int { bytes.count - position }

    mutating func byte() throws -> UInt8 {
        guard position < bytes.count else { throw Self.damaged }
        defer { position += 1 }
        return bytes[position]
    }

    mutating func take(_ count: Int) throws -> ArraySlice<UInt8> {
        guard count >= 0, count <= left else { throw Self.damaged }
        defer { position += count }
        return bytes[position..<position + count]
    }

    /// Seven bits a byte, the lowest first, the high bit set on all but the last; at most 32 bits.
    mutating func number() throws -> Int {
        var value = 0
        for shift in stride(from: 0, to: 35, by: 7) {
            let next = Int(try byte())
            value |= (next & 0x7F) << shift
            if next < 0x80 { return value }
        }
        throw Self.damaged
    }

    /// A number that must be below `limit`.
    mutating func number(below limit: Int) throws -> Int {
        let value = try number()
        guard value < limit else { throw Self.damaged }
        return value
    }

    /// A number with its sign: 0, 1, 2, 3 … as 0, −1, 1, −2 …
    mutating func signed() throws -> Int {
        let value = try number()
        return value & 1 == 0 ? value >> 1 : -(value >> 1) - 1
    }

    /// A count, then something of at least one byte for each.
    mutating func count(atMost limit: Int = .max) throws -> Int {
        let value = try number()
        guard value <= min(left, limit) else { throw Self.damaged }
        return value
    }

    mutating func numbers(_ count: Int) throws -> [Int] {
        guard count <= left else { throw Self.damaged }
        var values = [Int]()
        values.reserveCapacity(count)
        for _ in 0..<count { values.append(try number()) }
        return values
    }

    /// Code points in ascending order, by the distances between them.
    mutating func points(_ count: Int) throws -> [UInt32] { try Self.sums(try numbers(count)) }

    /// Code points in any order, by the signed steps between them.
    mutating func signedPoints(_ count: Int) throws -> [UInt32] {
        guard count <= left else { throw Self.damaged }
        var steps = [Int]()
        steps.reserveCapacity(count)
        for _ in 0..<count { steps.append(try signed()) }
        return try Self.sums(steps)
    }

    private static func sums(_ steps: [Int]) throws -> [UInt32] {
        var total = 0
        return try steps.map { step in
            total += step
            guard 0..<PointTable.pointCount ~= total else { throw damaged }
            return UInt32(total)
        }
    }

    /// Ranges of code points in ascending order.
    mutating func ranges() throws -> [Range<Int>] {
        var (end, found) = (0, [Range<Int>]())
        for _ in 0..<(try count()) {
            let start = end + (try number())
            end = start + (try number())
            guard end <= PointTable.pointCount else { throw Self.damaged }
            found.append(start..<end)
        }
        return found
    }

    /// The code points of a string behind its byte count.
    mutating func string() throws -> [UInt32] {
        var points = [UInt32]()
        try Self.decode(try take(try number()), into: &points)
        return points
    }

    /// Appends the code points of UTF-8; strict, where `String(decoding:)` would repair.
    static func decode(_ bytes: ArraySlice<UInt8>, into points: inout [UInt32]) throws {
        var decoder = UTF8()
        var iterator = bytes.makeIterator()
        while true {
            switch decoder.decode(&iterator) {
            case .scalarValue(let scalar): points.append(scalar.value)
            case .emptyInput: return
            case .error: throw damaged
            }
        }
    }

    static let damaged = BundleError("tokenizer.bin is damaged; install the app again")
}

/// How many bytes UTF-8 has for a code point.
func utf8Count(_ point: UInt32) -> Int { point < 0x80 ? 1 : point < 0x800 ? 2 : point < 0x10000 ? 3 : 4 }

/// Hands over the UTF-8 bytes of a code point.
@inline(__always)
func forEachUTF8(of point: UInt32, _ take: (UInt8) -> Void) {
    let more = UInt32(utf8Count(point) - 1)
    if more == 0 {
        take(UInt8(point))
        return
    }
    let mark: UInt32 = 0xF00 >> (more + 1) & 0xFF
    take(UInt8(mark | point >> (6 * more)))
    for place in (0..<more).reversed() {
        let bits: UInt32 = point >> (6 * place) & 0x3F
        take(UInt8(0x80 | bits))
    }
}
