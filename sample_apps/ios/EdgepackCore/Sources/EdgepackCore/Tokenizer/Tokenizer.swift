// A tokenizer over a tokenizer.bin: the ids and offsets of the reference, whatever the device's Unicode tables say.
//
// All work is on code points, never on Characters: a grapheme may hold several words and several tokens. What every kind
// of tokenizer does is here: added tokens are found in the text and, once that is normalized, between them; what is left
// goes to the kind's own model, the result is cut and framed with special tokens.

/// Ids of a text or a pair, with special tokens.
public struct Encoding: Equatable, Sendable {
    public fileprivate(set) var inputIDs = [Int]()
    public fileprivate(set) var tokenTypeIDs = [Int]()
    /// Into the token's own text, in UTF-16 units; (0, 0) for special tokens.
    public fileprivate(set) var offsetsUTF16 = [Range<Int>]()
    /// The same in code points.
    public fileprivate(set) var offsetsCodePoint = [Range<Int>]()
    /// 0 for the first text, 1 for the second, -1 for special tokens.
    public fileprivate(set) var sequences = [Int]()
}

extension Encoding {
    /// What the model gets of a window: all tokens but those of the part that are outside of it.
    func window(_ spans: [Range<Int>], _ span: Range<Int>) -> Encoding {
        func take<T>(_ values: [T]) -> [T] {
            Array(values[..<spans[0].lowerBound] + values[span] + values[spans[spans.count - 1].upperBound...])
        }
        var piece = Encoding()
        piece.inputIDs = take(inputIDs)
        piece.tokenTypeIDs = take(tokenTypeIDs)
        piece.offsetsUTF16 = take(offsetsUTF16)
        piece.offsetsCodePoint = take(offsetsCodePoint)
        piece.sequences = take(sequences)
        return piece
    }
}

/// What a kind of tokenizer has of its own: WordPiece's, byte-level BPE's or Unigram's.
protocol TokenModel: Sendable {
    /// Ids are below it.
    var size: Int { get }
    /// How the tokenizer sees code points.
    var points: PointTable { get }
    var trimming: Trimming { get }

    /// A part of a text without added tokens, normalized.
    func letters(_ text: [UInt32], _ range: Range<Int>) -> Letters

    /// A pass over one text that adds its tokens to `list`.
    func pass(_ list: TokenList) -> any TokenPass
}

/// What a model keeps while it goes through a text.
protocol TokenPass {
    var list: TokenList { get set }

    /// Adds the tokens of some letters, one at least, none of an added token.
    mutating func run(_ letters: Letters, _ range: Range<Int>)
}

public struct Tokenizer: Sendable {
    let frame: TokenizerFrame
    let model: any TokenModel

    /// From the bytes of tokenizer.bin; a `BundleError` where they are damaged.
    public init(_ data: some Sequence<UInt8>) throws {
        (frame, model) = try readTokenizer(Array(data))
    }

    /// Ids with special tokens, cut to `maxLength`, the longer text of a pair first; where a text is to stay `whole`,
    /// since windows of that length read it, only a pair's shorter text may be cut.
    public func encode(_ text: String, pair: String? = nil, maxLength: Int? = nil, whole: Bool = false) -> Encoding {
        let template = pair == nil ? frame.single : frame.pair
        let room = maxLength.map { max(0, $0 - template.filter { $0.kind == .special }.count) }
        let points = [text, pair ?? ""].map { text in text.unicodeScalars.map(\.value) }
        var tokens = [
            self.tokens(points[0], limit: pair == nil && !whole ? room ?? .max : .max), pair == nil ? [] : self.tokens(points[1]),
        ]
        if let room, pair != nil {
            let cut = whole ? Self.longerWhole : Self.longestFirst
            let kept = cut(tokens[0].count, tokens[1].count, room)
            tokens = [Array(tokens[0].prefix(kept.first)), Array(tokens[1].prefix(kept.second))]
        }
        return fill(template, tokens, points.map(Self.unitsBefore))
    }

    private func fill(_ template: [TokenizerFrame.Piece], _ tokens: [[Token]], _ units: [[Int]]) -> Encoding {
        var encoding = Encoding()
        for piece in template {
            let sequence = piece.kind.rawValue - 1
            let found = sequence < 0 ? [Token(id: piece.id, start: 0, end: 0)] : tokens[sequence]
            for token in found {
                encoding.inputIDs.append(token.id)
                encoding.tokenTypeIDs.append(piece.typeID)
                encoding.sequences.append(sequence)
                encoding.offsetsCodePoint.append(token.start..<token.end)
                encoding.offsetsUTF16.append(
                    sequence < 0 ? 0..<0 : units[sequence][token.start]..<units[sequence][token.end])
            }
        }
        return encoding
    }

    /// How many tokens of each text fit into `room`, the longer one cut first.
    static func longestFirst(_ first: Int, _ second: Int, _ room: Int) -> (first: Int, second: Int) {
        if first + second <= room { return (first, second) }
        var short = min(first, second)
        var long = short > room ? short : max(short, room - short)
        if short + long > room { (short, long) = (room / 2, room / 2 + room % 2) }
        return first <= second ? (short, long) : (long, short)
    }

    /// How many tokens of a pair windows read: all of the longer text, of the shorter at most half of the room.
    static func longerWhole(_ first: Int, _ second: Int, _ room: Int) -> (first: Int, second: Int) {
        if first + second <= room { return (first, second) }
        let short = min(first, second, room / 2)
        return first <= second ? (short, second) : (first, short)
    }

    /// UTF-16 units before each code point, and before the end.
    private static func unitsBefore(_ points: [UInt32]) -> [Int] {
        var units = [0]
        units.reserveCapacity(points.count + 1)
        for point in points { units.append(units[units.count - 1] + (point > 0xFFFF ? 2 : 1)) }
        return units
    }

    /// A text's own tokens, the first `limit` of them.
    func tokens(_ text: [UInt32], limit: Int = .max) -> [Token] {
        var pass = model.pass(TokenList(model.trimming, limit: limit))
        for stretch in frame.early.cut(text, 0..<text.count, model.points) where !pass.list.isFull {
            if let id = stretch.id {
                pass.list.take(id, stretch.range, content: text[stretch.range], model.points)
            } else {
                run(&pass, model.letters(text, stretch.range))
            }
        }
        return pass.list.tokens
    }

    /// What is between the added tokens of raw text.
    private func run(_ pass: inout any TokenPass, _ letters: Letters) {
        for part in frame.late.cut(letters.points, 0..<letters.count, model.points) where !pass.list.isFull {
            if let id = part.id {
                pass.list.take(id, letters.source(part.range), content: letters.points[part.range], model.points)
            } else {
                pass.run(letters, part.range)
            }
        }
    }
}
