// Unigram by a vocabulary of a few pieces (TinyUnigram): what each option does, and what no writer means.
import XCTest

@testable import EdgepackCore

final class UnigramTests: XCTestCase {
    func testTheSplitOfTheGreatestSumAndOfEqualOnesTheFirst() throws {
        let plain = TinyUnigram()
        XCTAssertEqual(try plain.tokens("ab"), ["ab"])  // -2.5 against -3
        XCTAssertEqual(try plain.tokens("aab"), ["a", "ab"])
        XCTAssertEqual(try plain.tokens("aaa"), ["a", "aa"])  // all sums are -3
        XCTAssertEqual(try plain.tokens(""), [])
        XCTAssertEqual(try plain.offsets("aab"), [0..<1, 1..<3])
    }

    func testScoresOf64BitsAreComparedAsSuch() throws {
        var wide = TinyUnigram(flags: 8)
        wide.pieces[4].1 = -3 - 0x1p-50  // ab; a and b are -3
        XCTAssertEqual(try wide.tokens("ab"), ["a", "b"])
        wide.flags = 0
        XCTAssertEqual(try wide.tokens("ab"), ["ab"])
    }

    func testUnknownNeighboursAreOneToken() throws {
        let plain = TinyUnigram()
        XCTAssertEqual(try plain.tokens("axéb"), ["a", "<unk>", "b"])
        XCTAssertEqual(try plain.offsets("axéb"), [0..<1, 1..<3, 3..<4])
        XCTAssertEqual(try plain.tokens("x<unk>x"), ["<unk>"])
        XCTAssertEqual(try TinyUnigram(pieces: TinyUnigram.pieces + [("éx", -90)]).tokens("éx"), ["éx"])
    }

    func testUnknownCharactersBecomeTheirBytes() throws {
        let bytes = TinyUnigram(flags: 1)
        XCTAssertEqual(try bytes.tokens("aéa"), ["a", "<0xC3>", "<0xA9>", "a"])
        XCTAssertEqual(try bytes.offsets("aéa"), [0..<1, 1..<2, 1..<2, 2..<3])
        XCTAssertEqual(try bytes.tokens("éx"), ["<unk>"])  // one of the bytes has no piece
    }

    func testMetaspacePutsALetterFirstByItsScheme() throws {
        let tokens = { (scheme: Int, splits: Bool, text: String) throws -> [String] in
            try TinyUnigram(splitting: [TinyUnigram.metaspace(scheme, splits: splits)]).tokens(text)
        }
        XCTAssertEqual(try tokens(2, true, "ab a"), ["▁ab", "▁a"])
        XCTAssertEqual(try tokens(0, true, "ab a"), ["ab", "▁a"])
        XCTAssertEqual(try tokens(2, true, " ab"), ["▁ab"])
        XCTAssertEqual(try tokens(2, true, "▁ab"), ["▁ab"])
        XCTAssertEqual(try tokens(2, true, "  a"), ["▁", "▁a"])
        XCTAssertEqual(try tokens(2, false, "ab  b"), ["▁ab", "▁", "▁", "b"])
        let first = TinyUnigram(
            splitting: [TinyUnigram.dropSpaces, TinyUnigram.metaspace(1)], added: [(13, 0, "<m>")])
        XCTAssertEqual(try first.tokens("ab ab<m>ab"), ["▁ab", "ab", "#13", "ab"])
        XCTAssertEqual(try first.offsets("ab ab"), [0..<2, 3..<5])
        let marks = TinyUnigram(splitting: [TinyUnigram.splitMarks, TinyUnigram.metaspace(2)])
        XCTAssertEqual(try marks.tokens("ab!! b"), ["▁ab", "▁", "!", "▁", "!", "▁", "b"])
        XCTAssertEqual(try marks.offsets("ab!"), [0..<2, 2..<3, 2..<3])
    }

    func testOffsetsLeaveSpacesOut() throws {
        XCTAssertEqual(try TinyUnigram().offsets(" a "), [0..<1, 1..<2, 2..<3])
        XCTAssertEqual(try TinyUnigram(flags: 2).offsets(" a "), [1..<1, 1..<2, 3..<3])
        XCTAssertEqual(try TinyUnigram(flags: 6).offsets(" a "), [0..<0, 1..<2, 3..<3])
    }

    func testLateTokensAreFoundInNormalizedText() throws {
        let late = TinyUnigram(
            added: [(13, 0, "[A]"), (14, 5, "ab")],
            steps: [TinySteps.map([0x41: [0x61], 0xDF: [0x61, 0x61]]), TinySteps.replace("cb", by: "b")])
        XCTAssertEqual(try late.tokens("b  Acb[A]"), ["b", "#14", "#13"])
        XCTAssertEqual(try late.offsets("b  Acb[A]"), [0..<1, 1..<6, 6..<9])
        XCTAssertEqual(try late.offsets("ßb"), [0..<1, 0..<2])
    }

    func testTheLastOfEqualPiecesAndOfEqualTokensCounts() throws {
        let twice = TinyUnigram(pieces: TinyUnigram.pieces + [("a", -1)], added: [(13, 0, "!"), (14, 0, "!")])
        XCTAssertEqual(try twice.read().encode("a!").inputIDs, [13, 14])
    }

    func testALongTextIsQuickAndCutsEndIt() throws {
        let clock = ContinuousClock()
        let asset = TinyUnigram(
            splitting: [TinyUnigram.metaspace(2)], steps: [TinySteps.replaceRuns([32], least: 1_000_000, by: "_")])
        let elapsed = try clock.measure {
            XCTAssertEqual(try asset.read().encode(String(repeating: "ab ", count: 100_000)).inputIDs.count, 100_000 + 1)
            XCTAssertEqual(try asset.read().encode(String(repeating: " ", count: 300_000), maxLength: 5).inputIDs.count, 5)
        }
        XCTAssertLessThan(elapsed, .seconds(20), "steps by the square of the letters")
    }

    func testWhatNoWriterMeansIsRefused() {
        var infinite = TinyUnigram()
        infinite.pieces[3].1 = -.infinity
        let bad = [
            infinite,
            TinyUnigram(kind: 0),
            TinyUnigram(kind: 1),
            TinyUnigram(size: TinyUnigram.pieces.count - 1),
            TinyUnigram(size: 2_000_000),
            TinyUnigram(unknown: TinyUnigram.pieces.count),
            TinyUnigram(pieces: []),
            TinyUnigram(splitting: [[0]]),
            TinyUnigram(splitting: [[4]]),
            TinyUnigram(splitting: [TinyUnigram.metaspace(3)]),
            TinyUnigram(splitting: [TinyUnigram.metaspace(2, letter: "ab")]),
            TinyUnigram(splitting: [TinyUnigram.metaspace(2, letter: "")]),
            TinyUnigram(splitting: [[UInt8]](repeating: TinyUnigram.dropSpaces, count: 101)),
            TinyUnigram(steps: [[9]]),
        ]
        for asset in bad { XCTAssert(message { _ = try asset.read() }.contains("is damaged")) }
        XCTAssertThrowsError(try Tokenizer(TinyUnigram(steps: []).bytes() + Fixtures.asset(version: 2, [[0]])[5...]))
    }

    /// Whatever is changed or cut: an error or a tokenizer, never a crash, never a loop without an end.
    func testDamageIsAnErrorAndNeverACrash() {
        let steps = [
            TinySteps.decompose(composing: true), TinySteps.map([0x41: [0x61], 0x130: [0x69, 0x307], 0x301: []]),
            TinySteps.characters([0xFB01: [0x66, 0x69]], longer: [([0x61, 0x301], [0xE1])], classes: [1: [0x301]]),
            TinySteps.replace("``", by: "\""), TinySteps.replaceRuns([32], least: 2, by: "▁"), TinySteps.strip(3),
        ]
        let whole = TinyUnigram(
            flags: 3, splitting: [TinyUnigram.splitMarks, TinyUnigram.metaspace(2)], added: [(13, 7, "<m>")],
            steps: steps
        ).bytes()
        for size in whole.indices where size != whole.count - 4 - Fixtures.packed(TinySteps.stream(steps)).count {
            XCTAssertThrowsError(try Tokenizer(whole[..<size]))
        }
        Fixtures.damage(whole) { data in
            if let changed = try? Tokenizer(data) {
                let text = "\u{301}Ab  ``é\u{327}İ\u{301} <m> ﬁ\u{301}각 a\u{301}!\u{1F600}  "
                _ = changed.words(text, changed.encode(text, pair: " a", maxLength: 9))
                _ = changed.encode(text)
            }
        }
    }
}
