// Texts with more tokens than the model takes, read whole: windows that overlap, and one answer out of theirs.
//
// The rule step by step: edgepack's docs/bundle.md, "Windows".

/// How long texts are read.
public struct Windows: Decodable, Equatable, Sendable {
    public enum Combine: String, Decodable, Sendable {
        /// Of labels of words: a token's logits are those of the window whose middle is nearest.
        case inner
        /// Of labels of texts: their mean over the windows.
        case mean
        /// Of label sets: the largest over the windows.
        case max
    }

    /// In tokens, at most half of the longest input.
    public let overlap: Int
    public let combine: Combine

    /// Each window's place in the part of the tokens that is cut into windows; one if the text is short.
    static func spans(_ sequences: [Int], maxLength: Int, overlap: Int) throws -> [Range<Int>] {
        let part = Self.part(sequences)
        guard sequences.count > maxLength else { return [part] }
        let room = maxLength - (sequences.count - part.count)
        guard room > 0 else {
            throw BundleError("windows of \(maxLength) tokens have no room for a text; install the app again")
        }
        let last = part.upperBound - room
        let starts = stride(from: part.lowerBound, to: last, by: room - min(overlap, room / 2)) + [last]
        return starts.map { $0..<$0 + room }
    }

    /// The tokens of the longer text, of equals the second.
    private static func part(_ sequences: [Int]) -> Range<Int> {
        let texts = [0, 1].map { text -> Range<Int> in
            guard let start = sequences.firstIndex(of: text), let last = sequences.lastIndex(of: text) else { return 0..<0 }
            return start..<last + 1
        }
        return !texts[1].isEmpty && texts[1].count >= texts[0].count ? texts[1] : texts[0]
    }

    /// The logits of a text of `count` tokens from those of its windows; `columns`: the number of labels.
    static func combined(_ found: [[Float]], _ spans: [Range<Int>], count: Int, columns: Int, by combine: Combine) -> [Float] {
        guard spans.count > 1 else { return found[0] }
        switch combine {
        case .inner: return nearest(found, spans, count, columns)
        case .max: return (0..<columns).map { label in found.map { $0[label] }.max()! }
        case .mean:
            return (0..<columns).map { label in Float(found.reduce(0) { $0 + Double($1[label]) } / Double(found.count)) }
        }
    }

    /// Each token's row from the window whose middle is nearest, of two the first one's.
    private static func nearest(_ found: [[Float]], _ spans: [Range<Int>], _ count: Int, _ columns: Int) -> [Float] {
        let part = spans[0].lowerBound..<spans[spans.count - 1].upperBound
        var (rows, number) = ([Float](), 0)
        rows.reserveCapacity(count * columns)
        for token in 0..<count {
            while number + 1 < spans.count, token >= (spans[number].upperBound + spans[number + 1].lowerBound + 1) / 2 {
                number += 1
            }
            let start = part.lowerBound
            let row =
                token < start
                ? token
                : part.contains(token)
                    ? start + token - spans[number].lowerBound
                    : start + spans[number].count + token - part.upperBound
            rows += found[number][row * columns..<(row + 1) * columns]
        }
        return rows
    }
}
