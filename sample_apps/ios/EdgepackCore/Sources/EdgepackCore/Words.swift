// The words of a text as a teacher of token classification saw them: what stands between spaces, punctuation at its
// ends and ideographs by themselves.

extension Tokenizer {
    private struct Piece {
        let token: Int
        let range: Range<Int>
        let isIdeograph: Bool
        let isMark: Bool
    }

    /// The words of a text that `encode` gave these tokens for.
    public func words(_ text: String, _ encoding: Encoding) -> [Word] {
        let points = text.unicodeScalars.map(\.value)
        let pieces = encoding.sequences.indices.filter { encoding.sequences[$0] == 0 }.compactMap { token -> Piece? in
            let range = withoutSpaces(encoding.offsetsCodePoint[token], points)
            if range.isEmpty { return nil }
            let flags = range.count == 1 ? model.points[points[range.lowerBound]] : 0
            return Piece(
                token: token, range: range, isIdeograph: flags & PointTable.padded != 0,
                isMark: flags & PointTable.punctuation != 0)
        }
        return groups(points, pieces).flatMap(Self.joined)
    }

    /// Byte pairs may hold a word's space, and an added token what it has swallowed.
    private func withoutSpaces(_ range: Range<Int>, _ points: [UInt32]) -> Range<Int> {
        var (start, end) = (range.lowerBound, range.upperBound)
        while start < end, isSpace(points[start]) { start += 1 }
        while start < end, isSpace(points[end - 1]) { end -= 1 }
        return start..<end
    }

    private func isSpace(_ point: UInt32) -> Bool { model.points[point] & PointTable.space != 0 }

    /// Tokens with no space between them; an ideograph is a group of its own.
    private func groups(_ points: [UInt32], _ pieces: [Piece]) -> [[Piece]] {
        var found = [[Piece]]()
        for (index, piece) in pieces.enumerated() {
            if index > 0, !piece.isIdeograph, !pieces[index - 1].isIdeograph, !isApart(points, pieces[index - 1], piece)
            {
                found[found.count - 1].append(piece)
            } else {
                found.append([piece])
            }
        }
        return found
    }

    private func isApart(_ points: [UInt32], _ before: Piece, _ piece: Piece) -> Bool {
        let (end, start) = (before.range.upperBound, piece.range.lowerBound)
        return end < start && points[end..<start].contains(where: isSpace)
    }

    /// A group as one word, with the punctuation at its ends as words beside it.
    private static func joined(_ group: [Piece]) -> [Word] {
        let head = group.prefix(while: \.isMark)
        let rest = group.dropFirst(head.count)
        let tail = rest.reversed().prefix(while: \.isMark).count
        let middle = rest.dropLast(tail)
        let single = { (piece: Piece) in Word(firstToken: piece.token, range: piece.range) }
        var words = head.map(single)
        if let first = middle.first, let last = middle.last {
            let end = max(first.range.lowerBound, last.range.upperBound)
            words.append(Word(firstToken: first.token, range: first.range.lowerBound..<end))
        }
        return words + rest.suffix(tail).map(single)
    }
}
