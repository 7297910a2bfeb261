// One pass over the letters of a text by WordPiece: words end at spaces and punctuation and are matched.

struct WordPass: TokenPass {
    private let asset: WordPieces
    var list: TokenList

    init(asset: WordPieces, list: TokenList) {
        self.asset = asset
        self.list = list
    }

    mutating func run(_ letters: Letters, _ range: Range<Int>) {
        var start = range.lowerBound  // of the word that is open
        for place in range where !list.isFull {
            let flags = asset.points[letters.points[place]]
            if flags & (PointTable.space | PointTable.punctuation) == 0 { continue }
            take(letters, start..<place)
            start = place + 1
            if flags & PointTable.punctuation != 0 { take(letters, place..<start) }
        }
        take(letters, start..<range.upperBound)
    }

    /// Matches a word; one unknown token where a piece has no match or the word is too long.
    private mutating func take(_ letters: Letters, _ word: Range<Int>) {
        if word.isEmpty || list.isFull { return }
        let count = list.tokens.count
        if word.count > asset.longestWord || !takePieces(letters, word) {
            list.cut(to: count)
            list.take(asset.unknownID, letters.source(word))
        }
    }

    private mutating func takePieces(_ letters: Letters, _ word: Range<Int>) -> Bool {
        var start = word.lowerBound
        while start < word.upperBound {
            var node = start == word.lowerBound ? 0 : asset.prefixNode
            var (end, id) = (start, -1)
            var at = start
            while at < word.upperBound, node >= 0 {
                node = asset.vocabulary.step(from: node, by: letters.points[at])
                at += 1
                if node >= 0, asset.vocabulary.token(at: node) >= 0 {
                    (end, id) = (at, asset.vocabulary.token(at: node))
                }
            }
            if id < 0 { return false }
            list.take(id, letters.source(start..<end))
            start = end
        }
        return true
    }
}
