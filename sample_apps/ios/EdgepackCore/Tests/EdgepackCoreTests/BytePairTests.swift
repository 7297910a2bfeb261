// Byte-level BPE by a vocabulary of a few merges (TinyBytePairs): what each option does, and what no writer means.
import XCTest

@testable import EdgepackCore

final class BytePairTests: XCTestCase {
    private let plain = TinyBytePairs()

    func testMergesGoInOrderAndNotAcrossPieces() throws {
        XCTAssertEqual(try plain.tokens("the the  the"), ["the", "Ġthe", "Ġ", "Ġthe"])
        XCTAssertEqual(try plain.tokens("t'th1"), ["t", "'", "t", "h", "1"])  // 't is a contraction, th1 no piece
        XCTAssertEqual(try plain.tokens("the\t the"), ["the", "\t", "Ġthe"])
        XCTAssertEqual(try plain.tokens("  "), ["Ġ", "Ġ"])
        XCTAssertEqual(try plain.tokens(""), [])
    }

    func testAByteHasTheOffsetsOfItsCharacter() throws {
        let encoding = try plain.read().encode("é\u{1F600}中")
        XCTAssertEqual(encoding.offsetsUTF16, [0..<1, 0..<1, 1..<3, 1..<3, 1..<3, 1..<3, 3..<4])
        XCTAssertEqual(encoding.offsetsCodePoint, [0..<1, 0..<1, 1..<2, 1..<2, 1..<2, 1..<2, 2..<3])
    }

    func testASpaceIsPutFirstAndTrimmed() throws {
        let prefixed = TinyBytePairs(flags: 1)
        XCTAssertEqual(try prefixed.tokens("the the"), ["Ġthe", "Ġthe"])
        XCTAssertEqual(try prefixed.offsets("the the"), [0..<3, 3..<7])
        XCTAssertEqual(try prefixed.tokens(" the"), ["Ġthe"])
        XCTAssertEqual(try prefixed.tokens("\tt"), ["Ġ", "\t", "t"])
        XCTAssertEqual(try TinyBytePairs(flags: 3).offsets("the the"), [1..<3, 4..<7])
        XCTAssertEqual(try TinyBytePairs(flags: 7).offsets("the the"), [0..<3, 4..<7])
        XCTAssertEqual(try TinyBytePairs(flags: 7).offsets(" the the"), [0..<4, 5..<8])  // a real one, too
    }

    func testAddedTokensAreFoundBeforeAndAfterTheOthers() throws {
        let added = [(0, 1, "<m>"), (1, 2, "<m>>"), (2, 7, "the"), (3, 4, "m>")]
        let asset = TinyBytePairs(added: added)
        XCTAssertEqual(try asset.tokens("  <m>m><m>> "), ["#0", "#3", "#1"])
        XCTAssertEqual(try asset.offsets("  <m>m><m>> "), [0..<5, 5..<7, 7..<12])
        XCTAssertEqual(try asset.tokens("t the h"), ["t", "#2", "h"])
        XCTAssertEqual(try asset.offsets("t the h"), [0..<1, 1..<6, 6..<7])
        XCTAssertEqual(try TinyBytePairs(flags: 2, added: added).offsets("t the h"), [0..<1, 2..<5, 6..<7])
    }

    func testANormalizerGoesBeforeLateTokensAndPieces() throws {
        let added = [(0, 4, "the"), (1, 0, "H")]
        let asset = TinyBytePairs(flags: 2, added: added, steps: [TinySteps.map([0x48: [0x68], 0x130: [0x69, 0x307]])])
        XCTAssertEqual(try asset.tokens("tHe"), ["t", "#1", "e"])
        XCTAssertEqual(
            try TinyBytePairs(added: [(0, 4, "the")], steps: [TinySteps.map([0x48: [0x68]])]).tokens("tHe h"),
            ["#0", "Ġ", "h"])
        XCTAssertEqual(try asset.offsets("tİt"), [0..<1, 1..<2, 1..<2, 1..<2, 2..<3])
    }

    func testPairsAreCutTheLongerOneFirst() throws {
        let tokenizer = try plain.read()
        let encoding = tokenizer.encode("the the the", pair: "t 1", maxLength: 4)
        XCTAssertEqual(encoding.sequences, [0, 0, 1, 1])
        XCTAssertEqual(encoding.offsetsCodePoint, [0..<3, 3..<7, 0..<1, 1..<2])
    }

    func testALongWordIsQuickAndCutsEndIt() throws {
        let clock = ContinuousClock()
        let elapsed = try clock.measure {
            XCTAssertEqual(try plain.read().encode(String(repeating: "h", count: 200_000)).inputIDs.count, 25_000)
            let long = String(repeating: "the ", count: 200_000)
            XCTAssertEqual(try plain.read().encode(long, maxLength: 5).inputIDs.count, 5)
        }
        XCTAssertLessThan(elapsed, .seconds(20), "steps by the square of the letters")
    }

    func testWordsStandBetweenSpacesWithoutThePunctuationAtTheirEnds() throws {
        let words = { (text: String) throws -> [String] in
            let tokenizer = try TinyBytePairs(flags: 3).read()
            let points = Array(text.unicodeScalars)
            return tokenizer.words(text, tokenizer.encode(text)).map {
                String(String.UnicodeScalarView(points[$0.range]))
            }
        }
        XCTAssertEqual(try words(" (the'  e'h"), ["(", "the", "'", "e'h"])
        XCTAssertEqual(try words("in中the. "), ["in", "中", "the", "."])
        XCTAssertEqual(try words("  "), [])
        let untrimmed = try TinyBytePairs(flags: 1).read()
        let found = untrimmed.words("the the", untrimmed.encode("the the"))
        XCTAssertEqual(found.map(\.range), [0..<3, 4..<7])
        XCTAssertEqual(found.map(\.firstToken), [0, 1])
    }

    func testWhatNoWriterMeansIsRefused() {
        let (t, h) = (Int(UInt8(ascii: "t")), Int(UInt8(ascii: "h")))
        let withClass = { (list: Int, points: [Int]) -> TinyBytePairs in
            var classes = TinyBytePairs.classes
            classes[list] = points
            return TinyBytePairs(classes: classes)
        }
        let bad = [
            TinyBytePairs(kind: 2),
            TinyBytePairs(kind: 3),
            TinyBytePairs(size: 2_000_000),
            TinyBytePairs(steps: [[7]]),
            TinyBytePairs(size: 200),
            TinyBytePairs(merges: [(t, 300, 256)]),
            TinyBytePairs(merges: [(t, h, 258)]),
            TinyBytePairs(merges: [(t, h, 255)]),
            TinyBytePairs(added: [(0, 0, "")]),
            TinyBytePairs(added: [(300, 0, "x")]),
            withClass(0, [0x20]),  // a space that is a letter, too: no end of a run of them
            withClass(2, [9]),  // or none that the pattern knows
            withClass(5, [0x110000]),
        ]
        for asset in bad { XCTAssert(message { _ = try asset.read() }.contains("is damaged")) }
    }

    /// Whatever is changed or cut: an error or a tokenizer, never a crash, never a loop without an end.
    func testDamageIsAnErrorAndNeverACrash() {
        let whole = TinyBytePairs(flags: 3, added: [(0, 3, "<m>"), (1, 4, "he")]).bytes()
        for size in whole.indices { XCTAssertThrowsError(try Tokenizer(whole[..<size])) }
        XCTAssertThrowsError(try Tokenizer(whole + [0]))
        Fixtures.damage(whole) { data in
            if let changed = try? Tokenizer(data) {
                let text = "the the  't中 é\u{1F600} <m> he1  "
                _ = changed.words(text, changed.encode(text, pair: " a", maxLength: 9))
                _ = changed.encode(text)
            }
        }
    }
}
