// What code points become: each other ones, or none. Strings of code points stand in one array.

/// Strings by number.
struct StringTable: Sendable {
    private(set) var points = [UInt32]()
    private var ends: [Int32] = [0]

    var count: Int { ends.count - 1 }

    func range(_ number: Int) -> Range<Int> { Int(ends[number])..<Int(ends[number + 1]) }

    subscript(number: Int) -> ArraySlice<UInt32> { points[range(number)] }

    mutating func append(_ string: some Collection<UInt32>) {
        points.append(contentsOf: string)
        ends.append(Int32(points.count))
    }

    mutating func appendUTF8(_ bytes: ArraySlice<UInt8>) throws {
        try ByteReader.decode(bytes, into: &points)
        ends.append(Int32(points.count))
    }
}

extension StringTable {
    /// A vocabulary of `count` tokens by front coding: each shares bytes with the one before.
    init(_ count: Int, _ lengths: inout ByteReader, _ suffixes: inout ByteReader) throws {
        self.init()
        var (token, total) = ([UInt8](), 0)
        for _ in 0..<count {
            let shared = Int(try lengths.byte())
            guard shared <= token.count else { throw ByteReader.damaged }
            token.removeSubrange(shared...)
            token += try suffixes.take(try lengths.number())
            total += token.count
            guard total <= Bounds.vocabulary else { throw ByteReader.damaged }
            try appendUTF8(token[...])
        }
    }
}

struct FoldTable: Sendable {
    let sources: [UInt32]
    /// The most code points that one becomes.
    let longest: Int
    private var numbers = PointMap<Int32>()  // of each source's string, plus one
    private var strings = StringTable()

    init(_ reader: inout ByteReader) throws {
        sources = try reader.points(try reader.count())
        let lengths = try reader.numbers(sources.count)
        guard lengths.allSatisfy({ $0 <= Bounds.fold }) else { throw ByteReader.damaged }
        var targets = try reader.signedPoints(lengths.reduce(0, +))[...]
        for (source, length) in zip(sources, lengths) {
            strings.append(targets.prefix(length))
            targets = targets.dropFirst(length)
            try numbers.put(Int32(strings.count), at: Int(source))
        }
        longest = max(1, lengths.max() ?? 1)
    }

    func has(_ point: UInt32) -> Bool { numbers[point] != 0 }

    /// What a code point becomes; nil where it stays itself.
    subscript(point: UInt32) -> ArraySlice<UInt32>? {
        let number = Int(numbers[point])
        return number == 0 ? nil : strings[number - 1]
    }
}

/// Hangul's syllables and their parts, by arithmetic (Unicode Standard, 3.12).
enum Hangul {
    static let vowels: ClosedRange<UInt32> = 0x1161...0x1175
    static let trails: ClosedRange<UInt32> = 0x11A8...0x11C2
    private static let leads: ClosedRange<UInt32> = 0x1100...0x1112
    private static let syllables: ClosedRange<UInt32> = 0xAC00...0xD7A3
    private static let trailCount: UInt32 = 28

    static func isSyllable(_ point: UInt32) -> Bool { syllables ~= point }

    /// A syllable of a lead and a vowel, to which a trail may come.
    static func isOpen(_ point: UInt32) -> Bool { isSyllable(point) && (point - 0xAC00) % trailCount == 0 }

    /// Hands over the two or three parts of a syllable.
    static func decompose(_ syllable: UInt32, _ take: (UInt32) -> Void) {
        let place = syllable - 0xAC00
        take(0x1100 + place / (21 * trailCount))
        take(0x1161 + place % (21 * trailCount) / trailCount)
        if place % trailCount != 0 { take(0x11A7 + place % trailCount) }
    }

    static func compose(_ first: UInt32, _ second: UInt32) -> UInt32? {
        if leads ~= first, vowels ~= second {
            return 0xAC00 + ((first - 0x1100) * 21 + second - 0x1161) * trailCount
        }
        return isOpen(first) && trails ~= second ? first + second - 0x11A7 : nil
    }
}
