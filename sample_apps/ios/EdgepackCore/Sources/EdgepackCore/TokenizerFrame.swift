// What stands around the model in a tokenizer.bin of every version: added tokens and templates with special tokens.

/// A part of a text: an added token, or what is between two of them.
struct Stretch {
    let range: Range<Int>
    /// Of the added token; nil for a part without one.
    let id: Int?
}

struct TokenizerFrame: Sendable {
    private struct AddedToken: Sendable {
        let id: Int
        let content: [UInt32]
        let swallowsBefore: Bool
        let swallowsAfter: Bool
        let isLate: Bool  // looked for in what the others have left
    }

    /// One part of a template: a special token, or the first or second text's tokens.
    struct Piece: Sendable {
        enum Kind: Int, Sendable { case special, first, second }
        let kind: Kind
        let id: Int
        let typeID: Int
    }

    /// Added tokens that are looked for together, the longest first.
    private struct Group: Sendable {
        let tokens: [AddedToken]
        private(set) var starts = PointTable()  // code points that a token begins with

        init(_ tokens: [AddedToken]) throws {
            self.tokens = tokens
            for token in tokens { try starts.set(1, at: Int(token.content[0])) }
        }
    }

    private let early: Group
    private let late: Group
    let single: [Piece]
    let pair: [Piece]

    /// The end of a header; all ids are below `size`.
    init(_ header: inout ByteReader, size: Int) throws {
        var added = [AddedToken]()
        for _ in 0..<(try header.count()) {
            let (id, flags, content) = (try header.number(below: size), try header.number(), try header.string())
            guard !content.isEmpty else { throw ByteReader.damaged }
            added.append(
                AddedToken(
                    id: id, content: content, swallowsBefore: flags & 1 != 0, swallowsAfter: flags & 2 != 0,
                    isLate: flags & 4 != 0))
        }
        added.sort { $0.content.count > $1.content.count }
        early = try Group(added.filter { !$0.isLate })
        late = try Group(added.filter(\.isLate))
        single = try Self.readTemplate(&header, size)
        pair = try Self.readTemplate(&header, size)
    }

    private static func readTemplate(_ reader: inout ByteReader, _ size: Int) throws -> [Piece] {
        var pieces = [Piece]()
        for _ in 0..<(try reader.count()) {
            guard let kind = Piece.Kind(rawValue: try reader.number()) else { throw ByteReader.damaged }
            let id = try reader.number(below: kind == .special ? size : 1)
            pieces.append(Piece(kind: kind, id: id, typeID: try reader.number()))
        }
        return pieces
    }

    /// A text cut at its added tokens, late ones in what the others have left.
    func stretches(_ text: [UInt32], _ points: PointTable) -> [Stretch] {
        var found = text.isEmpty ? [] : [Stretch(range: 0..<text.count, id: nil)]
        for group in [early, late] where !group.tokens.isEmpty {
            found = found.flatMap { $0.id == nil ? Self.cut(text, $0.range, group, points) : [$0] }
        }
        return found
    }

    /// A stretch cut at the tokens in it, the longest at each place, with the spaces that they swallow.
    private static func cut(
        _ text: [UInt32], _ whole: Range<Int>, _ group: Group, _ points: PointTable
    ) -> [Stretch] {
        let isSpace = { (point: UInt32) in points[point] & PointTable.space != 0 }
        var found = [Stretch]()
        var (at, done) = (whole.lowerBound, whole.lowerBound)
        while at < whole.upperBound {
            let rest = text[at..<whole.upperBound]
            guard group.starts[text[at]] != 0, let token = group.tokens.first(where: { rest.starts(with: $0.content) })
            else {
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
}
