// What stands around the model in a tokenizer.bin of every version: added tokens and templates with special tokens.

struct TokenizerFrame: Sendable {
    /// One part of a template: a special token, or the first or second text's tokens.
    struct Piece: Sendable {
        enum Kind: Int, Sendable { case special, first, second }
        let kind: Kind
        let id: Int
        let typeID: Int
    }

    /// Added tokens of raw text.
    let early: AddedTokens
    /// Those of normalized text.
    let late: AddedTokens
    let single: [Piece]
    let pair: [Piece]

    /// The end of a header; all ids are below `size`.
    init(_ header: inout ByteReader, size: Int) throws {
        var added = [AddedToken]()
        for _ in 0..<(try header.count()) { added.append(try AddedToken(&header, size: size)) }
        early = try AddedTokens(added.filter { !$0.isLate })
        late = try AddedTokens(added.filter(\.isLate))
        single = try Self.readTemplate(&header, size)
        pair = try Self.readTemplate(&header, size)
    }

    private static func readTemplate(_ reader: inout ByteReader, _ size: Int) throws -> [Piece] {
        var pieces = [Piece]()
        for _ in 0..<(try reader.count(atMost: Bounds.template)) {
            guard let kind = Piece.Kind(rawValue: try reader.number()) else { throw ByteReader.damaged }
            let id = try reader.number(below: kind == .special ? size : 1)
            pieces.append(Piece(kind: kind, id: id, typeID: try reader.number()))
        }
        return pieces
    }
}
