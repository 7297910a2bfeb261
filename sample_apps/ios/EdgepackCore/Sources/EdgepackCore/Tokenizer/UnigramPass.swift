// One pass over the letters of a text by Unigram: the most likely pieces of each stretch, unknown ones joined.
//
// The best split is found as Viterbi did (1967): for each place in turn the best way there, its score a sum in 64 bits
// from the left. Of equal sums the one found first stays, which begins earlier, so that every platform splits alike.

struct UnigramPass: TokenPass {
    /// The best way to a place: its score, and the last piece, by where it begins and its id.
    private struct Way {
        var score = 0.0
        var start: Int32 = -1  // none yet
        var id: Int32 = -1
    }

    private let asset: Unigram
    private var ways = [Way]()
    private var pieces = [(range: Range<Int>, id: Int)]()
    var list: TokenList

    init(asset: Unigram, list: TokenList) {
        self.asset = asset
        self.list = list
    }

    mutating func run(_ letters: Letters, _ range: Range<Int>) {
        var (split, stretches) = (letters, [range])
        for step in asset.splitting { stretches = step.apply(to: stretches, of: &split, asset.points) }
        for stretch in stretches where !list.isFull {
            findWays(split.points, stretch)
            findPieces(stretch)
            for piece in pieces { take(split, piece.range, piece.id) }
        }
    }

    private mutating func findWays(_ points: [UInt32], _ stretch: Range<Int>) {
        if ways.count <= stretch.count { ways = [Way](repeating: Way(), count: 2 * stretch.count + 1) }
        let asset = asset
        ways.withUnsafeMutableBufferPointer { ways in
            for place in 0...stretch.count { ways[place] = Way() }
            for start in stretch {
                let place = start - stretch.lowerBound
                Self.offerPieces(asset, points, start..<stretch.upperBound, place, ways)
            }
        }
    }

    /// Offers every piece that begins at the first code point of a range, which is a way's `place`.
    private static func offerPieces(
        _ asset: Unigram, _ points: [UInt32], _ range: Range<Int>, _ place: Int, _ ways: UnsafeMutableBufferPointer<Way>
    ) {
        let score = ways[place].score
        let offer = { (length: Int, score: Double, id: Int) in
            let end = place + length
            if ways[end].start < 0 || score > ways[end].score {
                ways[end] = Way(score: score, start: Int32(place), id: Int32(id))
            }
        }
        var (node, isKnown) = (0, false)
        for at in range {
            node = asset.vocabulary.step(from: node, by: points[at])
            if node < 0 { break }
            let id = asset.vocabulary.token(at: node)
            if id < 0 { continue }
            if at == range.lowerBound { isKnown = true }
            offer(at + 1 - range.lowerBound, asset.scores[id] + score, id)
        }
        if !isKnown { offer(1, asset.unknownScore + score, asset.unknownID) }
    }

    /// The pieces of the best way, unknown neighbours joined.
    private mutating func findPieces(_ stretch: Range<Int>) {
        pieces.removeAll(keepingCapacity: true)
        var end = stretch.count
        while end > 0 {
            let (start, id) = (Int(ways[end].start), Int(ways[end].id))
            let range = stretch.lowerBound + start..<stretch.lowerBound + end
            if id == asset.unknownID, let next = pieces.last, next.id == id {
                pieces[pieces.count - 1].range = range.lowerBound..<next.range.upperBound
            } else {
                pieces.append((range, id))
            }
            end = start
        }
        pieces.reverse()
    }

    /// A piece; an unknown one by its whole string, or its bytes, if these are pieces.
    private mutating func take(_ letters: Letters, _ range: Range<Int>, _ id: Int) {
        let (content, source) = (letters.points[range], letters.source(range))
        var id = id
        if id == asset.unknownID {
            let found = asset.vocabulary.token(of: content)
            if found < 0, let bytes = byteIDs(content) {
                for byte in bytes { list.take(byte, source, content: content, asset.points) }
                return
            }
            if found >= 0 { id = found }
        }
        list.take(id, source, content: content, asset.points)
    }

    /// The pieces of a string's bytes; nil where one is missing.
    private func byteIDs(_ content: ArraySlice<UInt32>) -> [Int]? {
        guard let byteIDs = asset.byteIDs else { return nil }
        var ids = [Int]()
        for point in content { forEachUTF8(of: point) { ids.append(byteIDs[Int($0)]) } }
        return ids.contains(-1) ? nil : ids
    }
}
