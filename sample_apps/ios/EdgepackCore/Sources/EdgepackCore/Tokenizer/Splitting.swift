// The steps of a Unigram tokenizer's pre-tokenizer: where a stretch of letters is cut, and how spaces are written.

struct Splitting: Sendable {
    private enum Kind: Int { case spaces = 1, marks, metaspace }
    private enum Scheme: Int { case never, first, always }

    private static let space: UInt32 = 0x20

    private let kind: Kind
    // Metaspace's:
    private var letter: UInt32 = 0  // for a space
    private var scheme = Scheme.never  // where one is put first
    private var splits = false

    init(_ header: inout ByteReader) throws {
        guard let kind = Kind(rawValue: try header.number()) else { throw ByteReader.damaged }
        self.kind = kind
        if kind != .metaspace { return }
        let string = try header.string()
        guard string.count == 1, let scheme = Scheme(rawValue: try header.number()) else { throw ByteReader.damaged }
        (letter, self.scheme) = (string[0], scheme)
        splits = try header.number(below: 2) == 1
    }

    /// Cuts stretches of letters further.
    func apply(to stretches: [Range<Int>], of letters: inout Letters, _ points: PointTable) -> [Range<Int>] {
        switch kind {
        case .spaces: cut(stretches, letters, at: PointTable.space, keeping: false, points)
        case .marks: cut(stretches, letters, at: PointTable.punctuation, keeping: true, points)
        case .metaspace: writeSpaces(stretches, &letters)
        }
    }

    /// Each code point with the flag ends a stretch, and is one itself or is left out.
    private func cut(
        _ stretches: [Range<Int>], _ letters: Letters, at flag: UInt8, keeping: Bool, _ points: PointTable
    ) -> [Range<Int>] {
        var parts = [Range<Int>]()
        for stretch in stretches {
            var start = stretch.lowerBound
            for place in stretch where points[letters.points[place]] & flag != 0 {
                if place > start { parts.append(start..<place) }
                if keeping { parts.append(place..<place + 1) }
                start = place + 1
            }
            if start < stretch.upperBound { parts.append(start..<stretch.upperBound) }
        }
        return parts
    }

    /// Spaces written as the letter, one put first where the scheme says so, and a part begun at each.
    private func writeSpaces(_ stretches: [Range<Int>], _ letters: inout Letters) -> [Range<Int>] {
        var written = Letters(origin: letters.origin, capacity: letters.count + stretches.count)
        var parts = [Range<Int>]()
        for stretch in stretches where !stretch.isEmpty {
            let first = stretch.lowerBound
            var start = written.count
            if putsFirst(letters, first) { written.append(letter, letters.span(first)) }
            for place in stretch {
                let point = letters.points[place] == Self.space ? letter : letters.points[place]
                if splits, point == letter, written.count > start {
                    parts.append(start..<written.count)
                    start = written.count
                }
                written.append(point, letters.span(place))
            }
            parts.append(start..<written.count)
        }
        letters = written
        return parts
    }

    private func putsFirst(_ letters: Letters, _ place: Int) -> Bool {
        let point = letters.points[place]
        if point == letter || point == Self.space { return false }
        return scheme == .always || (scheme == .first && letters.start(place) == 0)
    }
}
