// Unpacks a zlib stream (RFC 1950, RFC 1951): the same code on every platform, since Foundation has no zlib.
//
// A Huffman code is kept as in RFC 1951, 3.2.2: how many codes there are of each length, and the symbols in order. A
// symbol is read bit by bit against the first code of each length, which is slow beside tables and fast enough for a
// tokenizer's 100 kB. The Adler-32 checksum at the end is compared.

/// Unpacks `packed`; throws where it is damaged or larger than `limit` bytes.
func inflate(_ packed: ArraySlice<UInt8>, limit: Int = 64 << 20) throws -> [UInt8] {
    var inflater = Inflater(packed, limit: limit)
    return try inflater.run()
}

private struct Huffman {
    var counts = [Int](repeating: 0, count: 16)
    var symbols: [Int]

    init(lengths: ArraySlice<Int>) throws {
        for length in lengths { counts[length] += 1 }
        counts[0] = 0
        var left = 1
        for length in 1..<16 {
            left = (left << 1) - counts[length]
            guard left >= 0 else { throw ByteReader.damaged }
        }
        var starts = [Int](repeating: 0, count: 16)
        for length in 1..<15 { starts[length + 1] = starts[length] + counts[length] }
        symbols = [Int](repeating: 0, count: lengths.count)
        for (symbol, length) in lengths.enumerated() where length != 0 {
            symbols[starts[length]] = symbol
            starts[length] += 1
        }
    }
}

private let lengthBases = [
    3, 4, 5, 6, 7, 8, 9, 10, 11, 13, 15, 17, 19, 23, 27, 31, 35, 43, 51, 59, 67, 83, 99, 115, 131, 163, 195, 227, 258,
]
private let lengthBits = [0, 0, 0, 0, 0, 0, 0, 0, 1, 1, 1, 1, 2, 2, 2, 2, 3, 3, 3, 3, 4, 4, 4, 4, 5, 5, 5, 5, 0]
private let distanceBases = [
    1, 2, 3, 4, 5, 7, 9, 13, 17, 25, 33, 49, 65, 97, 129, 193, 257, 385, 513, 769, 1025, 1537, 2049, 3073, 4097, 6145,
    8193, 12289,
    16385, 24577,
]
private let distanceBits = [
    0, 0, 0, 0, 1, 1, 2, 2, 3, 3, 4, 4, 5, 5, 6, 6, 7, 7, 8, 8, 9, 9, 10, 10, 11, 11, 12, 12, 13, 13,
]
private let codeLengthOrder = [16, 17, 18, 0, 8, 7, 9, 6, 10, 5, 11, 4, 12, 3, 13, 2, 14, 1, 15]

private struct Inflater {
    private let input: ArraySlice<UInt8>
    private let limit: Int
    private var position: Int
    private var bitBuffer = 0
    private var bitCount = 0
    private var output = [UInt8]()

    init(_ input: ArraySlice<UInt8>, limit: Int) {
        self.input = input
        self.limit = limit
        position = input.startIndex
    }

    mutating func run() throws -> [UInt8] {
        let (method, flags) = (Int(try byte()), Int(try byte()))
        guard method & 0x0F == 8, (method << 8 | flags) % 31 == 0, flags & 0x20 == 0 else { throw ByteReader.damaged }
        var isLast = false
        while !isLast {
            isLast = try bits(1) == 1
            switch try bits(2) {
            case 0: try stored()
            case 1: try compressed(Self.fixedLengths, Self.fixedDistances)
            case 2:
                let (lengths, distances) = try dynamicCodes()
                try compressed(lengths, distances)
            default: throw ByteReader.damaged
            }
        }
        try compareChecksum()
        return output
    }

    private static let fixedLengths: Huffman = {
        var lengths = [Int](repeating: 8, count: 288)
        for symbol in 144..<256 { lengths[symbol] = 9 }
        for symbol in 256..<280 { lengths[symbol] = 7 }
        return try! Huffman(lengths: lengths[...])
    }()
    private static let fixedDistances = try! Huffman(lengths: [Int](repeating: 5, count: 30)[...])

    private mutating func byte() throws -> UInt8 {
        guard position < input.endIndex else { throw ByteReader.damaged }
        defer { position += 1 }
        return input[position]
    }

    private mutating func bits(_ count: Int) throws -> Int {
        while bitCount < count {
            bitBuffer |= Int(try byte()) << bitCount
            bitCount += 8
        }
        defer {
            bitBuffer >>= count
            bitCount -= count
        }
        return bitBuffer & ((1 << count) - 1)
    }

    private mutating func symbol(_ code: Huffman) throws -> Int {
        var (value, first, index) = (0, 0, 0)
        for length in 1..<16 {
            value |= try bits(1)
            let count = code.counts[length]
            if value - first < count { return code.symbols[index + value - first] }
            index += count
            first = (first + count) << 1
            value <<= 1
        }
        throw ByteReader.damaged
    }

    private mutating func stored() throws {
        (bitBuffer, bitCount) = (0, 0)
        let length = Int(try byte()) | Int(try byte()) << 8
        let complement = Int(try byte()) | Int(try byte()) << 8
        guard length == ~complement & 0xFFFF, length <= input.endIndex - position else { throw ByteReader.damaged }
        try append(input[position..<position + length])
        position += length
    }

    private mutating func dynamicCodes() throws -> (Huffman, Huffman) {
        let literals = try bits(5) + 257
        let distances = try bits(5) + 1
        let codes = try bits(4) + 4
        var lengths = [Int](repeating: 0, count: 19)
        for place in codeLengthOrder.prefix(codes) { lengths[place] = try bits(3) }
        let lengthCode = try Huffman(lengths: lengths[...])
        lengths = []
        while lengths.count < literals + distances {
            let next = try symbol(lengthCode)
            if next < 16 {
                lengths.append(next)
                continue
            }
            guard next > 16 || !lengths.isEmpty else { throw ByteReader.damaged }
            let repeated = next == 16 ? lengths[lengths.count - 1] : 0
            let times = next == 16 ? try bits(2) + 3 : next == 17 ? try bits(3) + 3 : try bits(7) + 11
            lengths += [Int](repeating: repeated, count: times)
        }
        guard lengths.count == literals + distances else { throw ByteReader.damaged }
        return (try Huffman(lengths: lengths[..<literals]), try Huffman(lengths: lengths[literals...]))
    }

    private mutating func compressed(_ lengths: Huffman, _ distances: Huffman) throws {
        while true {
            let next = try symbol(lengths)
            if next < 256 {
                try append(CollectionOfOne(UInt8(next)))
            } else if next == 256 {
                return
            } else {
                guard next - 257 < lengthBases.count else { throw ByteReader.damaged }
                let length = lengthBases[next - 257] + (try bits(lengthBits[next - 257]))
                let code = try symbol(distances)
                guard code < distanceBases.count else { throw ByteReader.damaged }
                try repeatOutput(length, distance: distanceBases[code] + (try bits(distanceBits[code])))
            }
        }
    }

    private mutating func append<Bytes: Collection>(_ bytes: Bytes) throws where Bytes.Element == UInt8 {
        guard output.count + bytes.count <= limit else { throw ByteReader.damaged }
        output.append(contentsOf: bytes)
    }

    private mutating func repeatOutput(_ length: Int, distance: Int) throws {
        guard distance <= output.count, output.count + length <= limit else { throw ByteReader.damaged }
        for _ in 0..<length { output.append(output[output.count - distance]) }
    }

    private mutating func compareChecksum() throws {
        var (low, high) = (1, 0)
        for byte in output {
            low = (low + Int(byte)) % 65521
            high = (high + low) % 65521
        }
        (bitBuffer, bitCount) = (0, 0)
        var expected = 0
        for _ in 0..<4 { expected = expected << 8 | Int(try byte()) }
        guard expected == high << 16 | low else { throw ByteReader.damaged }
    }
}
