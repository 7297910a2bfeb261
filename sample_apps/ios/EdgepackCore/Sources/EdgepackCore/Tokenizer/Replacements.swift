// Steps of a normalizer that put one string for another, or take spaces off the ends.

/// One string for another, wherever it stands.
struct Replacement: NormalizerStep {
    private let found: [UInt32]
    private let content: [UInt32]

    var growth: Int { max(1, content.count) }

    init(_ reader: inout ByteReader) throws {
        found = try reader.string()
        content = try reader.string()
        guard !found.isEmpty else { throw ByteReader.damaged }
    }

    func apply(to letters: inout Letters) {
        let points = letters.points
        letters.substitute(content) { at in
            points[at] == found[0] && points[at...].starts(with: found) ? at..<at + found.count : nil
        }
    }
}

/// One string for each long run of code points, and for each of some others elsewhere.
struct RunReplacement: NormalizerStep {
    private let points: PointSet
    private let least: Int
    private let single: PointSet
    private let content: [UInt32]

    var growth: Int { max(1, content.count) }

    init(_ reader: inout ByteReader) throws {
        points = try PointSet(&reader)
        least = try reader.number()
        single = try PointSet(&reader)
        content = try reader.string()
        guard least > 0 else { throw ByteReader.damaged }
    }

    func apply(to letters: inout Letters) {
        let text = letters.points
        var runEnd = 0  // of a run that is too short
        letters.substitute(content) { at in
            if at >= runEnd {
                var end = at
                while end < text.count, points.contains(text[end]) { end += 1 }
                if end - at >= least { return at..<end }
                runEnd = end
            }
            return single.contains(text[at]) ? at..<at + 1 : nil
        }
    }
}

/// Spaces at either end go.
struct Stripping: NormalizerStep {
    private let isLeft: Bool
    private let isRight: Bool
    private let spaces: PointSet

    let growth = 1

    init(_ reader: inout ByteReader) throws {
        let flags = try reader.number(below: 4)
        (isLeft, isRight) = (flags & 1 != 0, flags & 2 != 0)
        spaces = try PointSet(&reader)
    }

    func apply(to letters: inout Letters) {
        var (start, end) = (0, letters.count)
        while isLeft, start < end, spaces.contains(letters.points[start]) { start += 1 }
        while isRight, start < end, spaces.contains(letters.points[end - 1]) { end -= 1 }
        letters.keep(start..<end)
    }
}

extension Letters {
    /// `content` for each match, which is asked for from left to right; it has the span of the last letter that goes.
    fileprivate mutating func substitute(_ content: [UInt32], _ match: (Int) -> Range<Int>?) {
        var at = 0
        while at < count {
            if let range = match(at) {
                substitute(content, from: range, match)
                return
            }
            at += 1
        }
    }

    private mutating func substitute(_ content: [UInt32], from first: Range<Int>, _ match: (Int) -> Range<Int>?) {
        var replaced = Letters(origin: origin, capacity: count)
        for place in 0..<first.lowerBound { replaced.append(points[place], span(place)) }
        var (at, next) = (first.lowerBound, Optional(first))
        while at < count {
            if let range = next {
                for point in content { replaced.append(point, span(range.upperBound - 1)) }
                at = range.upperBound
            } else {
                replaced.append(points[at], span(at))
                at += 1
            }
            next = at < count ? match(at) : nil
        }
        self = replaced
    }
}
