// What each step of a normalizer does to letters and to what they stand for.
import XCTest

@testable import EdgepackCore

final class NormalizerTests: XCTestCase {
    private static let fi = 0xFB01

    /// The letters that steps make of a text, or of what is behind its first `start` code points.
    private func letters(_ text: String, _ steps: [UInt8]..., from start: Int = 0) throws -> (String, [[Int]]) {
        var streams = [ByteReader(TinySteps.stream(steps))]
        let points = text.unicodeScalars.map(\.value)
        let found = try Normalizer(&streams, at: 0).letters(points, start..<points.count)
        let string = String(String.UnicodeScalarView(found.points.map { Unicode.Scalar($0)! }))
        return (string, (0..<found.count).map { [found.start($0), found.end($0)] })
    }

    private func check(
        _ found: (String, [[Int]]), _ text: String, _ spans: [[Int]], line: UInt = #line
    ) {
        XCTAssertEqual(found.0.unicodeScalars.map(\.value), text.unicodeScalars.map(\.value), line: line)
        XCTAssertEqual(found.1, spans, line: line)
    }

    func testNoStepsLeaveALetterAlone() throws {
        check(try letters("abc", from: 1), "bc", [[1, 2], [2, 3]])
    }

    func testAMapPutsInAndTakesAway() throws {
        let map = TinySteps.map([0x41: [0x61], 0x130: [0x69, 0x307], 0x301: []])
        check(try letters("AbA", map), "aba", [[0, 1], [1, 2], [2, 3]])
        check(try letters("Aİb", map), "ai\u{307}b", [[0, 1], [1, 2], [1, 2], [2, 3]])
        check(try letters("e\u{301}\u{301}x", map), "ex", [[0, 1], [3, 4]])
        check(try letters("\u{301}x\u{301}A", map), "xa", [[1, 2], [3, 4]])
        check(try letters("İ\u{301}x", map), "i\u{307}x", [[0, 1], [1, 2], [2, 3]])  // what is put in takes the accent
        check(try letters("\u{301}", map), "", [])
    }

    func testDecompositionSortsMarks() throws {
        let decompose = TinySteps.decompose(composing: false)
        check(try letters("xé", decompose), "xe\u{301}", [[0, 1], [1, 2], [1, 2]])
        check(
            try letters("é\u{327}x", decompose), "e\u{327}\u{301}x", [[0, 1], [1, 2], [1, 2], [2, 3]])
        check(try letters("각", decompose), "\u{1100}\u{1161}\u{11A8}", [[0, 1], [0, 1], [0, 1]])
    }

    func testCompositionJoinsOverLowerMarks() throws {
        let compose = TinySteps.decompose(composing: true)
        check(try letters("éx", compose), "éx", [[0, 1], [1, 2]])
        check(try letters("xe\u{301}x", compose), "xéx", [[0, 1], [1, 2], [3, 4]])
        check(try letters("e\u{327}\u{301}x", compose), "é\u{327}x", [[0, 1], [2, 3], [3, 4]])
        check(try letters("\u{301}e\u{301}\u{301}", compose), "\u{301}é\u{301}", [[0, 1], [1, 2], [3, 4]])
        check(try letters("\u{1100}\u{1161}\u{11A8}각\u{11A8}", compose), "각각\u{11A8}", [[0, 1], [3, 4], [4, 5]])
    }

    func testACharacterMapReplacesSmallClusters() throws {
        let map = TinySteps.characters(
            [Self.fi: [0x66, 0x69], 0xAD: []], longer: [([0x61, 0x301], [0xE1]), ([0x62, 0x63], [0x78])],
            classes: [1: [0x301, 0x200D]])
        check(try letters("ﬁx", map), "fix", [[0, 1], [0, 1], [1, 2]])
        check(try letters("ﬁ\u{301}x", map), "fix", [[0, 1], [1, 2], [2, 3]])  // the accent is lost
        check(
            try letters("ﬁ\u{301}\u{301}", map), "fi\u{301}\u{301}", [[0, 1], [0, 1], [1, 2], [2, 3]])  // seven bytes
        check(try letters("a\u{301}\u{301}x", map), "áx", [[0, 1], [3, 4]])
        check(try letters("bc", map), "bc", [[0, 1], [1, 2]])  // no cluster
        check(try letters("\u{AD}x\u{AD}y", map), "xy", [[0, 1], [2, 3]])  // nothing takes the first one
    }

    func testClustersByEveryRule() throws {
        let classes = [
            0: [0x0A, 0x0D], 1: [0x301, 0x94D, 0x200D], 2: [0x903], 3: [0x600], 4: [0x2764], 5: [0x915], 6: [0x94D],
            7: [0x301, 0x200D], 8: [0x1100], 9: [0x1161], 10: [0x11A8],
        ]
        var reader = ByteReader((0..<11).flatMap { Fixtures.ranges(classes[$0]!) })
        let clusters = try Clusters(&reader)
        let cut = { (text: String) -> [Int] in
            let points = text.unicodeScalars.map(\.value)
            var (ends, at) = ([Int](), 0)
            while at < points.count {
                at = clusters.end(points, from: at)
                ends.append(at)
            }
            return ends
        }
        XCTAssertEqual(cut("\r\n\u{301}a\u{301}\u{903}"), [2, 3, 6])
        XCTAssertEqual(cut("\u{600}ab\u{600}\n"), [2, 3, 4, 5])
        XCTAssertEqual(cut("\u{2764}\u{301}\u{200D}\u{2764}a\u{200D}\u{2764}"), [4, 6, 7])
        XCTAssertEqual(cut("\u{2764}\u{903}\u{200D}\u{2764}"), [3, 4])
        XCTAssertEqual(cut("\u{915}\u{94D}\u{200D}\u{915}\u{200D}\u{915}"), [5, 6])
        XCTAssertEqual(cut("\u{1100}\u{1100}\u{1161}\u{1161}\u{11A8}\u{11A8}\u{1161}"), [6, 7])
        XCTAssertEqual(cut("\u{1100}가\u{1161}각\u{11A8}\u{1161}"), [3, 5, 6])
    }

    func testReplacementsHaveTheLastLettersOffsets() throws {
        check(try letters("a``````b", TinySteps.replace("```", by: "xy")), "axyxyb", [0, 3, 3, 6, 6, 7].map { [$0, $0 + 1] })
        check(try letters("a``", TinySteps.replace("```", by: "")), "a``", [[0, 1], [1, 2], [2, 3]])
        let runs = TinySteps.replaceRuns([9, 32], least: 2, single: [9], by: "_")
        check(try letters("a \t b\tc d", runs), "a_b_c d", [0, 3, 4, 5, 6, 7, 8].map { [$0, $0 + 1] })
        check(try letters("b", TinySteps.replaceRuns([0x62], least: 1, by: "")), "", [])
    }

    func testStripAndWhatComesAfterIt() throws {
        check(try letters(" a \t", TinySteps.strip(3)), "a", [[1, 2]])
        check(try letters(" a ", TinySteps.strip(2)), " a", [[0, 1], [1, 2]])
        check(try letters(" \t", TinySteps.strip(3)), "", [])
        check(try letters("x A ", TinySteps.strip(1), TinySteps.map([0x41: [0x61]]), from: 1), "a ", [[2, 3], [3, 4]])
    }

    func testWhatNoWriterMeansIsRefused() {
        let long = String(repeating: "x", count: 40)
        let bad: [[[UInt8]]] = [
            [[0]], [[7]], [[6, 4, 0]], [[1, 2]],
            [TinySteps.replace("", by: "x")],
            [TinySteps.replaceRuns([32], least: 0, by: "x")],
            [TinySteps.replace("x", by: long), TinySteps.replace("x", by: long)],  // 1,600 for one
            [TinySteps.map([0x41: [0x110000]])],
            [TinySteps.map([0x41: [Int](repeating: 0x61, count: 65)])],
            [TinySteps.characters([:], longer: [([0x61], [0x62])])],
            [TinySteps.characters([:], longer: [([Int](repeating: 0x61, count: 65), [0x62])])],
            [[UInt8]](repeating: TinySteps.strip(1), count: 101),
        ]
        for steps in bad {
            var streams = [ByteReader(TinySteps.stream(steps))]
            XCTAssert(message { _ = try Normalizer(&streams, at: 0) }.contains("is damaged"), "\(steps)")
        }
    }
}
