// The letters of a part of a text after normalization, and where each came from, as the Hugging Face library keeps it.

struct Letters {
    /// What a letter stands for in the text, in code points.
    struct Span {
        var start: Int32
        var end: Int32
    }

    private(set) var points: [UInt32]
    /// Where the part begins in the text.
    let origin: Int
    private var first: Int  // letter n is the text's n-th from here on, while there are no spans
    private var spans: [Span]?

    /// A part of a text as it stands.
    init(_ text: [UInt32], _ range: Range<Int>) {
        points = range.count == text.count ? text : Array(text[range])
        (origin, first) = (range.lowerBound, range.lowerBound)
    }

    /// No letters yet.
    init(origin: Int, capacity: Int) {
        (points, spans) = ([], [])
        (self.origin, first) = (origin, origin)
        points.reserveCapacity(capacity)
        spans?.reserveCapacity(capacity)
    }

    var count: Int { points.count }

    func span(_ place: Int) -> Span {
        guard let spans else { return Span(start: Int32(first + place), end: Int32(first + place + 1)) }
        return spans[place]
    }

    func start(_ place: Int) -> Int { Int(span(place).start) }

    func end(_ place: Int) -> Int { Int(span(place).end) }

    /// What a range of letters, which is not empty, stands for.
    func source(_ range: Range<Int>) -> Range<Int> {
        let start = start(range.lowerBound)
        return start..<max(start, end(range.upperBound - 1))
    }

    mutating func append(_ point: UInt32, _ span: Span) {
        points.append(point)
        spans?.append(span)
    }

    /// Another code point for the same letter.
    mutating func replace(_ place: Int, by point: UInt32) { points[place] = point }

    /// Leaves these letters alone.
    mutating func keep(_ range: Range<Int>) {
        if range == 0..<count { return }
        points = Array(points[range])
        if let spans { self.spans = Array(spans[range]) } else { first += range.lowerBound }
    }

    /// The letters that these changes make, without the first `skipped` old ones.
    mutating func apply(_ changes: Changes, skipping skipped: Int = 0) {
        if skipped > 0 || changes.points.count != count || changes.takes.contains(where: { $0 != 0 }) {
            var (at, moved) = (skipped, [Span]())
            moved.reserveCapacity(changes.takes.count)
            for change in changes.takes {
                if change > 0 {
                    moved.append(at > 0 ? span(at - 1) : Span(start: Int32(origin), end: Int32(origin)))
                } else {
                    moved.append(span(at))
                    at += Int(1 - change)
                }
            }
            spans = moved
        }
        points = changes.points
    }
}

/// What a step writes: code points, each with a change. 0 takes the place of one letter, −n of n more, 1 is put in and
/// takes none; it has the span of the letter before it in the old text.
struct Changes {
    private(set) var points = [UInt32]()
    private(set) var takes = [Int32]()

    init(capacity: Int) {
        points.reserveCapacity(capacity)
        takes.reserveCapacity(capacity)
    }

    var isEmpty: Bool { points.isEmpty }

    mutating func append(_ point: UInt32, _ change: Int32) {
        points.append(point)
        takes.append(change)
    }

    mutating func append(_ others: Changes) {
        points += others.points
        takes += others.takes
    }

    mutating func removeAll() {
        points.removeAll(keepingCapacity: true)
        takes.removeAll(keepingCapacity: true)
    }

    /// The last one takes so many more letters, if there is one.
    mutating func takeMore(_ count: Int) {
        if let last = takes.indices.last { takes[last] -= Int32(count) }
    }
}
