// Added tokens, which are matched as they stand: in the raw text, or in normalized text between those.

/// A part of a text: an added token, or what is between two of them.
struct Stretch {
    let range: Range<Int>
    /// Of the added token; nil for a part without one.
    let id: Int?
}

struct AddedToken: Sendable {
    let id: Int
    let content: [UInt32]
    private let flags: Int

    var swallowsBefore: Bool { flags & 1 != 0 }
    var swallowsAfter: Bool { flags & 2 != 0 }
    /// Looked for in normalized text.
    var isLate: Bool { flags & 4 != 0 }

    init(_ header: inout ByteReader, size: Int) throws {
        (id, flags, content) = (try header.number(below: size), try header.number(), try header.string())
        guard !content.isEmpty else { throw ByteReader.damaged }
    }
}

/// Added tokens that are looked for together.
struct AddedTokens: Sendable {
    private let tokens: [AddedToken]  // the longest first; of equal ones the last
    private var starts = PointTable()  // 1 where a token begins with the code point

    init(_ given: [AddedToken]) throws {
        let order = given.indices.sorted { (given[$0].content.count, $0) > (given[$1].content.count, $1) }
        tokens = order.map { given[$0] }
        for token in tokens { try starts.set(1, at: Int(token.content[0])) }
    }

    /// A part of a text cut at the tokens in it, the longest at each place, with the spaces that they swallow.
    func cut(_ text: [UInt32], _ whole: Range<Int>, _ points: PointTable) -> [Stretch] {
        if whole.isEmpty { return [] }
        if tokens.isEmpty { return [Stretch(range: whole, id: nil)] }
        let isSpace = { (point: UInt32) in points[point] & PointTable.space != 0 }
        var found = [Stretch]()
        var (at, done) = (whole.lowerBound, whole.lowerBound)
        while at < whole.upperBound {
            guard starts[text[at]] != 0, let token = token(at: at, text[..<whole.upperBound]) else {
                at += 1
                continue
            }
            var (start, end) = (at, at + token.content.count)
            at = end
            while token.swallowsBefore, start > done, isSpace(text[start - 1]) { start -= 1 }
            while token.swallowsAfter, end < whole.upperBound, isSpace(text[end]) { end += 1 }
            if start > done { found.append(Stretch(range: done..<start, id: nil)) }
            found.append(Stretch(range: start..<end, id: token.id))
            done = end
        }
        if done < whole.upperBound { found.append(Stretch(range: done..<whole.upperBound, id: nil)) }
        return found
    }

    private func token(at place: Int, _ text: ArraySlice<UInt32>) -> AddedToken? {
        let rest = text[place...]
        return tokens.first { rest.starts(with: $0.content) }
    }
}
