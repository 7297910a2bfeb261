// BERT's tokenizer: version 1 of tokenizer.bin, and version 2 with added tokens in normalized text.
//
// Code points are folded and marks sorted by rank (WordNormalizer); words end at spaces and punctuation and are matched,
// longest token first (WordPass).

struct WordPieces: TokenModel {
    let size: Int
    let unknownID: Int
    let longestWord: Int
    let decomposesHangul: Bool
    let vocabulary: Trie
    let prefixNode: Int  // where continuing pieces begin in the trie, or -1
    let folds: FoldTable
    let ranks: RankTable
    let trimming = Trimming(flags: 0)
    private(set) var points = PointTable()

    /// From six streams; of the first the frame is left.
    init(_ streams: inout [ByteReader]) throws {
        decomposesHangul = try streams[0].number() & 1 == 1
        size = try streams[0].number(below: Bounds.tokens)
        unknownID = try streams[0].number(below: size)
        longestWord = try streams[0].number(below: Bounds.word + 1)
        let prefix = try streams[0].string()
        var (lengths, suffixes) = (streams[1], streams[2])
        vocabulary = try Trie(try StringTable(size, &lengths, &suffixes))  // an empty token is an id without one
        prefixNode = vocabulary.node(of: prefix)
        for flag in [PointTable.removed, PointTable.space, PointTable.punctuation, PointTable.padded] {
            try points.setRanges(flag, &streams[3])
        }
        folds = try FoldTable(&streams[4])
        for source in folds.sources { try points.set(PointTable.folds, at: Int(source)) }
        let (ranks, marks) = try RankTable.readRanks(&streams[5])
        self.ranks = ranks
        for mark in marks { try points.set(PointTable.ranked, at: Int(mark)) }
    }

    func letters(_ text: [UInt32], _ range: Range<Int>) -> Letters {
        var normalizer = WordNormalizer(asset: self, text: text, range)
        return normalizer.run()
    }

    func pass(_ list: TokenList) -> any TokenPass { WordPass(asset: self, list: list) }
}
