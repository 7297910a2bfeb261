// Grapheme clusters (Unicode's UAX #29) by the tables of the bundle: a character map replaces small ones as a whole.

struct Clusters: Sendable {
    // In the order of the file.
    private static let control: UInt16 = 1  // nothing joins them
    private static let extending: UInt16 = 2  // join what is before
    private static let spacing: UInt16 = 4  // join too, but end a picture's sequence
    private static let prepended: UInt16 = 8  // what follows joins them
    private static let picture: UInt16 = 16  // joins a picture before, over a zero-width joiner
    private static let consonant: UInt16 = 32  // joins a consonant before, over a linker
    private static let linker: UInt16 = 64
    private static let bridging: UInt16 = 128  // may stand between consonant and linker
    private static let lead: UInt16 = 256  // of Hangul
    private static let vowel: UInt16 = 512
    private static let trail: UInt16 = 1024
    private static let joiner: UInt32 = 0x200D

    private var classes = PointMap<UInt16>()

    /// From eleven range lists.
    init(_ reader: inout ByteReader) throws {
        for place in 0..<11 { try classes.setRanges(1 << place, &reader) }
    }

    /// The end of the cluster that begins at `start`.
    func end(_ points: [UInt32], from start: Int) -> Int {
        var at = start + 1
        while at < points.count, joins(points, start, at) { at += 1 }
        return at
    }

    /// Whether the code point at `place` belongs to the cluster that begins at `start` and reaches up to it.
    private func joins(_ points: [UInt32], _ start: Int, _ place: Int) -> Bool {
        let (before, point) = (points[place - 1], points[place])
        if before == 0x0D, point == 0x0A { return true }
        let (left, right) = (classes[before], classes[point])
        if (left | right) & Self.control != 0 { return false }
        if right & (Self.extending | Self.spacing) != 0 || left & Self.prepended != 0 { return true }
        if joinsHangul(before, point, left, right) { return true }
        if before == Self.joiner, right & Self.picture != 0 { return followsPicture(points, start, place - 2) }
        return right & Self.consonant != 0 && followsLinked(points, start, place - 1)
    }

    private func joinsHangul(_ before: UInt32, _ point: UInt32, _ left: UInt16, _ right: UInt16) -> Bool {
        if left & Self.lead != 0 { return right & (Self.lead | Self.vowel) != 0 || Hangul.isSyllable(point) }
        if left & Self.vowel != 0 || Hangul.isOpen(before) { return right & (Self.vowel | Self.trail) != 0 }
        return (left & Self.trail != 0 || Hangul.isSyllable(before)) && right & Self.trail != 0
    }

    private func followsPicture(_ points: [UInt32], _ start: Int, _ place: Int) -> Bool {
        var at = place
        while at > start, classes[points[at]] & Self.extending != 0 { at -= 1 }
        return at >= start && classes[points[at]] & Self.picture != 0
    }

    private func followsLinked(_ points: [UInt32], _ start: Int, _ place: Int) -> Bool {
        var (at, isLinked) = (place, false)
        while at > start, classes[points[at]] & (Self.bridging | Self.linker) != 0 {
            if classes[points[at]] & Self.linker != 0 { isLinked = true }
            at -= 1
        }
        return isLinked && classes[points[at]] & Self.consonant != 0
    }
}
