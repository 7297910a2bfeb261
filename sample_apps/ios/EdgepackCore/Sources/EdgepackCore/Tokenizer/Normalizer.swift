// The steps of a normalizer, the last stream of a tokenizer.bin of version 2; none where the stream is missing.

/// What a step does to the letters of a part of a text.
protocol NormalizerStep: Sendable {
    /// The most code points that it writes for one.
    var growth: Int { get }

    func apply(to letters: inout Letters)
}

struct Normalizer: Sendable {
    private var steps = [any NormalizerStep]()

    /// The stream at `place`, if it is there.
    init(_ streams: inout [ByteReader], at place: Int) throws {
        if place == streams.count { return }
        var growth = 1
        for _ in 0..<(try streams[place].number(below: Bounds.normalizer + 1)) {
            let step = try Self.readStep(&streams[place])
            growth *= step.growth
            guard growth <= Bounds.growth else { throw ByteReader.damaged }
            steps.append(step)
        }
    }

    private static func readStep(_ reader: inout ByteReader) throws -> any NormalizerStep {
        switch try reader.number() {
        case 1: try Decomposition(&reader)
        case 2: try Mapping(&reader)
        case 3: try CharacterMap(&reader)
        case 4: try Replacement(&reader)
        case 5: try RunReplacement(&reader)
        case 6: try Stripping(&reader)
        default: throw ByteReader.damaged
        }
    }

    /// A part of a text after all steps.
    func letters(_ text: [UInt32], _ range: Range<Int>) -> Letters {
        var letters = Letters(text, range)
        for step in steps where letters.count > 0 { step.apply(to: &letters) }
        return letters
    }
}

/// Each code point becomes others, or none: lower case, accents stripped.
struct Mapping: NormalizerStep {
    private let folds: FoldTable

    var growth: Int { folds.longest }

    init(_ reader: inout ByteReader) throws {
        folds = try FoldTable(&reader)
    }

    func apply(to letters: inout Letters) {
        if letters.points.contains(where: { folds[$0].map { $0.count != 1 } ?? false }) {
            applyAll(to: &letters)
            return
        }
        for place in 0..<letters.count {
            if let fold = folds[letters.points[place]] { letters.replace(place, by: fold[fold.startIndex]) }
        }
    }

    /// A letter that becomes nothing is counted to the last one that stays.
    private func applyAll(to letters: inout Letters) {
        var (changes, skipped) = (Changes(capacity: letters.count), 0)
        for point in letters.points {
            if let fold = folds[point] {
                var change: Int32 = 0
                for target in fold {
                    changes.append(target, change)
                    change = 1
                }
                if fold.isEmpty { changes.takeMore(1) }
            } else {
                changes.append(point, 0)
            }
            if changes.isEmpty { skipped += 1 }
        }
        letters.apply(changes, skipping: skipped)
    }
}
