// Writes a tokenizer.bin of version 2: symbol n has the id n + 4, and there is no frame.
@testable import EdgepackCore

struct TinyBytePairs {
    static let others = 4  // ids of added tokens
    static let merges = [
        (code("h"), code("e"), 256),
        (code("t"), 256, 257),
        (code(" "), code("t"), 258),
        (258, 256, 259),  // "Ġthe"
        (code("t"), code("'"), 260),
        (code("h"), code("1"), 261),
        (code("h"), code("h"), 262),
        (262, 262, 263),
        (263, 263, 264),
        (code(" "), 257, 259),  // the same by another way
        (0xE4, 0xB8, 265),
        (265, 0xAD, 266),  // U+4E2D
    ]
    static let classes = [
        Array(code("A")...code("Z")) + Array(code("a")...code("z")) + [0xE9, 0x4E2D],
        Array(code("0")...code("9")),
        [9, 10, 32, 0x3000],
        [9, 10, 32, 0x3000],
        "'().<>".unicodeScalars.map { Int($0.value) }.sorted(),
        [0x4E2D],
    ]

    var flags = 0
    var added = [(id: Int, flags: Int, content: String)]()
    var kind = 1
    var size = 300
    var merges = TinyBytePairs.merges
    var classes = TinyBytePairs.classes
    var steps: [[UInt8]]?  // of the normalizer

    private static func code(_ letter: Unicode.Scalar) -> Int { Int(letter.value) }

    func read() throws -> Tokenizer { try Tokenizer(bytes()) }

    /// Tokens as a vocabulary writes them; `#n` is an added one.
    func tokens(_ text: String) throws -> [String] {
        try read().encode(text).inputIDs.map { id in
            if id < Self.others { return "#\(id)" }
            return String(spelled(id - Self.others).map { $0 == " " ? "Ġ" : $0 })
        }
    }

    func offsets(_ text: String) throws -> [Range<Int>] { try read().encode(text).offsetsCodePoint }

    private func spelled(_ symbol: Int) -> String {
        guard let merge = merges.first(where: { $0.2 == symbol }) else {
            return String(Unicode.Scalar(UInt8(symbol)))
        }
        return spelled(merge.0) + spelled(merge.1)
    }

    func bytes() -> [UInt8] {
        var header = Fixtures.numbers([kind, flags, size, added.count])
        for token in added { header += Fixtures.numbers([token.id, token.flags]) + Fixtures.string(token.content) }
        header += Fixtures.numbers([1, 1, 0, 0]) + Fixtures.numbers([2, 1, 0, 0, 2, 0, 0])
        let symbols = max(256, (merges.map(\.2).max() ?? 0) + 1)
        let ids = Fixtures.numbers([2 * Self.others] + [Int](repeating: 0, count: symbols - 1))
        var (results, new) = ([UInt8](), 256)
        for merge in merges {
            results += Fixtures.numbers([merge.2 >= new ? 2 * (merge.2 - new) : 2 * (new - merge.2) - 1])
            new = max(new, merge.2 + 1)
        }
        var streams = [header, ids, planes(merges.map(\.0)), planes(merges.map(\.1)), results]
        streams.append(classes.flatMap(Fixtures.ranges))
        if let steps { streams.append(TinySteps.stream(steps)) }
        return Fixtures.asset(version: 2, streams)
    }

    private func planes(_ numbers: [Int]) -> [UInt8] {
        [0, 8, 16].flatMap { shift in numbers.map { UInt8($0 >> shift & 0xFF) } }
    }
}
