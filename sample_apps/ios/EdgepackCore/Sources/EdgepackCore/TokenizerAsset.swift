// Reads tokenizer.bin (docs/bundle.md of edgepack): "EPTK", a version, six zlib streams behind their sizes.

/// All that a tokenizer.bin says, in the forms that WordPiece uses.
struct TokenizerAsset: Sendable {
    struct AddedToken: Sendable {
        let id: Int
        let content: [UInt32]
        let swallowsBefore: Bool
        let swallowsAfter: Bool
    }

    /// One part of a template: a special token, or the first or second text's tokens.
    struct Piece: Sendable {
        enum Kind: Int, Sendable { case special, first, second }
        let kind: Kind
        let id: Int
        let typeID: Int
    }

    private(set) var unknownID = 0
    private(set) var longestWord = 0
    private(set) var decomposesHangul = false
    private(set) var prefixNode = -1  // where continuing pieces begin in the trie
    private(set) var added = [AddedToken]()  // the longest first
    private(set) var single = [Piece]()
    private(set) var pair = [Piece]()
    private(set) var vocabulary: Trie
    private(set) var points = PointTable()
    private(set) var folds = [UInt32: [UInt32]]()
    private(set) var ranks = [UInt32: Int]()
    private var size = 0
    private var prefix = [UInt32]()

    init(_ data: [UInt8]) throws {
        guard data.count > 5, data[..<4].elementsEqual("EPTK".utf8) else { throw ByteReader.damaged }
        guard data[4] == 1 else {
            throw BundleError("tokenizer.bin has version \(data[4]), this app reads 1; update the app", .unsupported)
        }
        vocabulary = Trie(capacity: data.count)
        var streams = try Self.unpack(data[5...])
        guard streams.count == 6 else { throw ByteReader.damaged }
        try readHeader(&streams[0])
        var (lengths, suffixes) = (streams[1], streams[2])
        try readVocabulary(&lengths, &suffixes)
        for flag in [PointTable.removed, PointTable.space, PointTable.punctuation, PointTable.padded] {
            try readRanges(&streams[3], flag)
        }
        try readFolds(&streams[4])
        try readRanks(&streams[5])
        prefixNode = vocabulary.node(of: prefix)
    }

    private static func unpack(_ data: ArraySlice<UInt8>) throws -> [ByteReader] {
        var streams = [ByteReader]()
        var rest = data
        while !rest.isEmpty {
            guard rest.count >= 4 else { throw ByteReader.damaged }
            let size = rest.prefix(4).reversed().reduce(0) { $0 << 8 | Int($1) }
            rest = rest.dropFirst(4)
            guard size <= rest.count else { throw ByteReader.damaged }
            streams.append(ByteReader(try inflate(rest.prefix(size))))
            rest = rest.dropFirst(size)
        }
        return streams
    }

    private mutating func readHeader(_ reader: inout ByteReader) throws {
        decomposesHangul = try reader.number() & 1 == 1
        size = try reader.number()
        unknownID = try reader.number()
        longestWord = try reader.number()
        prefix = try reader.string()
        for _ in 0..<(try reader.count()) {
            let (id, flags) = (try reader.number(), try reader.number())
            let content = try reader.string()
            added.append(
                AddedToken(id: id, content: content, swallowsBefore: flags & 1 != 0, swallowsAfter: flags & 2 != 0))
        }
        added = added.filter { !$0.content.isEmpty }.sorted { $0.content.count > $1.content.count }
        single = try Self.readTemplate(&reader)
        pair = try Self.readTemplate(&reader)
    }

    private static func readTemplate(_ reader: inout ByteReader) throws -> [Piece] {
        var pieces = [Piece]()
        for _ in 0..<(try reader.count()) {
            guard let kind = Piece.Kind(rawValue: try reader.number()) else { throw ByteReader.damaged }
            pieces.append(Piece(kind: kind, id: try reader.number(), typeID: try reader.number()))
        }
        return pieces
    }

    /// Front coding: each token shares bytes with the one before.
    private mutating func readVocabulary(_ lengths: inout ByteReader, _ suffixes: inout ByteReader) throws {
        var token = [UInt8]()
        var content = [UInt32]()
        for id in 0..<size {
            let shared = Int(try lengths.byte())
            guard shared <= token.count else { throw ByteReader.damaged }
            token.removeSubrange(shared...)
            token += try suffixes.take(try lengths.number())
            guard !token.isEmpty else { continue }  // an id without a token
            content.removeAll(keepingCapacity: true)
            try ByteReader.decode(token[...], into: &content)
            vocabulary.insert(content, id: id)
        }
    }

    private mutating func readRanges(_ reader: inout ByteReader, _ flag: UInt8) throws {
        var end = 0
        for _ in 0..<(try reader.count()) {
            let start = end + (try reader.number())
            end = start + (try reader.number())
            guard end <= PointTable.pointCount else { throw ByteReader.damaged }
            for point in start..<end { try points.set(flag, at: point) }
        }
    }

    private mutating func readFolds(_ reader: inout ByteReader) throws {
        let sources = Self.sums(try reader.numbers(try reader.count()))
        let lengths = try reader.numbers(sources.count)
        let total = lengths.reduce(0, +)
        let steps = try reader.numbers(total).map { $0 & 1 == 0 ? $0 >> 1 : -($0 >> 1) - 1 }
        var targets = Self.sums(steps)[...]
        for (source, length) in zip(sources, lengths) {
            let fold = targets.prefix(length)
            guard fold.allSatisfy({ 0..<PointTable.pointCount ~= $0 }) else { throw ByteReader.damaged }
            try points.set(PointTable.folds, at: source)
            folds[UInt32(source)] = fold.map { UInt32($0) }
            targets = targets.dropFirst(length)
        }
    }

    private mutating func readRanks(_ reader: inout ByteReader) throws {
        let marks = Self.sums(try reader.numbers(try reader.count()))
        for (mark, rank) in zip(marks, try reader.numbers(marks.count)) {
            try points.set(PointTable.ranked, at: mark)
            ranks[UInt32(mark)] = rank
        }
    }

    private static func sums(_ steps: [Int]) -> [Int] {
        var total = 0
        return steps.map { step in
            total += step
            return total
        }
    }
}
