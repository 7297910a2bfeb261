// BERT's tokenizer: version 1 of tokenizer.bin.
//
// One pass (WordPass): code points are folded, marks are sorted by rank, words end at spaces and punctuation and are
// matched, longest token first, as soon as they end. The scratch arrays are reused.

struct WordPieces: TokenModel {
    private(set) var size = 0
    private(set) var unknownID = 0
    private(set) var longestWord = 0
    private(set) var decomposesHangul = false
    private(set) var prefixNode = -1  // where continuing pieces begin in the trie
    private(set) var vocabulary: Trie
    private(set) var points = PointTable()
    private(set) var folds = [UInt32: [UInt32]]()
    private(set) var ranks = [UInt32: Int]()

    /// From six streams; of the first the frame is left.
    init(_ streams: inout [ByteReader]) throws {
        decomposesHangul = try streams[0].number() & 1 == 1
        size = try streams[0].number()
        unknownID = try streams[0].number(below: size)
        longestWord = try streams[0].number()
        let prefix = try streams[0].string()
        var (lengths, suffixes) = (streams[1], streams[2])
        vocabulary = Trie(capacity: lengths.left)
        try readVocabulary(&lengths, &suffixes)
        for flag in [PointTable.removed, PointTable.space, PointTable.punctuation, PointTable.padded] {
            try points.setRanges(flag, &streams[3])
        }
        try readFolds(&streams[4])
        try readRanks(&streams[5])
        prefixNode = vocabulary.node(of: prefix)
    }

    func tokens(_ text: [UInt32], _ stretches: [Stretch], limit: Int) -> [Token] {
        var pass = WordPass(asset: self, text: text, limit: limit)
        for stretch in stretches {
            if let id = stretch.id {
                pass.append(Token(id: id, start: stretch.range.lowerBound, end: stretch.range.upperBound))
            } else {
                pass.run(stretch.range)
            }
        }
        return pass.tokens
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

    private mutating func readFolds(_ reader: inout ByteReader) throws {
        let sources = Self.sums(try reader.numbers(try reader.count()))
        let lengths = try reader.numbers(sources.count)
        let total = lengths.reduce(0, +)
        guard total <= reader.left else { throw ByteReader.damaged }
        var steps = [Int]()
        for _ in 0..<total { steps.append(try reader.signed()) }
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
