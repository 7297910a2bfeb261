// The tokens of a text as they are found, their offsets with or without the spaces at their ends.

/// A token of a text, in code points.
struct Token {
    let id: Int
    let start: Int
    let end: Int
}

/// What a tokenizer does with the spaces at a token's ends.
struct Trimming: Sendable {
    /// Offsets leave them out …
    let isOn: Bool
    /// … but for a single one before the first token, which is taken for the one put there.
    let keepsPrefix: Bool

    /// By a header's flags.
    init(flags: Int) {
        (isOn, keepsPrefix) = (flags & 2 != 0, flags & 4 != 0)
    }
}

struct TokenList {
    private static let shownSpace: UInt32 = 0x120  // a space as byte-level vocabularies write it

    let trimming: Trimming
    /// How many tokens are wanted.
    let limit: Int
    private(set) var tokens = [Token]()

    init(_ trimming: Trimming, limit: Int) {
        self.trimming = trimming
        self.limit = limit
    }

    var isFull: Bool { tokens.count >= limit }

    /// Takes a token that begins and ends with so many spaces.
    mutating func take(_ id: Int, _ range: Range<Int>, leading: Int = 0, trailing: Int = 0) {
        if isFull { return }
        var (start, end) = (range.lowerBound, range.upperBound)
        if trimming.isOn {
            let keepsOne = trimming.keepsPrefix && leading == 1 && (tokens.isEmpty || start == 0)
            start = min(start + leading - (keepsOne ? 1 : 0), end)
            end = end >= trailing ? max(end - trailing, start) : end
        }
        tokens.append(Token(id: id, start: start, end: end))
    }

    /// Takes a token that stands for these code points.
    mutating func take(_ id: Int, _ range: Range<Int>, content: ArraySlice<UInt32>, _ points: PointTable) {
        if !trimming.isOn {
            take(id, range)
            return
        }
        let isSpace = { (point: UInt32) in point == Self.shownSpace || points[point] & PointTable.space != 0 }
        let leading = content.prefix(while: isSpace).count
        let trailing = leading == content.count ? leading : content.reversed().prefix(while: isSpace).count
        take(id, range, leading: leading, trailing: trailing)
    }

    /// Leaves out all tokens from `count` on.
    mutating func cut(to count: Int) { tokens.removeSubrange(count...) }
}
