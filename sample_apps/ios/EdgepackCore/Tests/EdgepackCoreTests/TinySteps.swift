// Writes the steps of a normalizer.
@testable import EdgepackCore

enum TinySteps {
    static func stream(_ steps: [[UInt8]]) -> [UInt8] { Fixtures.numbers([steps.count]) + steps.flatMap { $0 } }

    static func folds(_ folds: [Int: [Int]]) -> [UInt8] {
        let sources = folds.keys.sorted()
        let targets = sources.flatMap { folds[$0]! }
        let lengths = sources.map { folds[$0]!.count }
        return Fixtures.numbers([sources.count] + steps(sources) + lengths) + signed(targets)
    }

    static func map(_ folds: [Int: [Int]]) -> [UInt8] { [2] + Self.folds(folds) }

    /// Of é, with U+0301 and U+0327 as marks; U+0327 goes first.
    static func decompose(composing: Bool) -> [UInt8] {
        var step = Fixtures.numbers([1, composing ? 1 : 0]) + folds([0xE9: [0x65, 0x301]])
        step += Fixtures.numbers([2, 0x301, 0x327 - 0x301, 230, 202])
        if composing { step += Fixtures.numbers([1, 0xE9]) + signed([0x65]) + signed([0x301]) }
        return step
    }

    /// `classes` has code points of the eleven lists by their place.
    static func characters(
        _ single: [Int: [Int]], longer: [(key: [Int], value: [Int])] = [], classes: [Int: [Int]] = [:]
    ) -> [UInt8] {
        var step: [UInt8] = [3]
        for place in 0..<11 { step += Fixtures.ranges(classes[place] ?? []) }
        step += folds(single) + Fixtures.numbers([longer.count])
        for (key, value) in longer {
            for points in [key, value] { step += Fixtures.numbers([points.count]) + signed(points) }
        }
        return step
    }

    static func replace(_ found: String, by content: String) -> [UInt8] {
        [4] + Fixtures.string(found) + Fixtures.string(content)
    }

    static func replaceRuns(_ points: [Int], least: Int, single: [Int] = [], by content: String) -> [UInt8] {
        [5] + Fixtures.ranges(points) + Fixtures.numbers([least]) + Fixtures.ranges(single) + Fixtures.string(content)
    }

    static func strip(_ flags: Int) -> [UInt8] { Fixtures.numbers([6, flags]) + Fixtures.ranges([9, 32]) }

    private static func steps(_ points: [Int]) -> [Int] { zip(points, [0] + points).map { $0 - $1 } }

    private static func signed(_ points: [Int]) -> [UInt8] {
        Fixtures.numbers(steps(points).map { $0 >= 0 ? 2 * $0 : -2 * $0 - 1 })
    }
}
