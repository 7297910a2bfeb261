import XCTest

@testable import EdgepackCore

final class WordPieceTests: XCTestCase {
    private let tokenizer = try! Tokenizer(Fixtures.tokenizer())

    private func ids(_ text: String, pair: String? = nil, maxLength: Int? = nil) -> [Int] {
        tokenizer.encode(text, pair: pair, maxLength: maxLength).inputIDs
    }

    func testWordsPiecesAndUnknowns() {
        XCTAssertEqual(ids("good films!"), [2, 5, 6, 7, 10, 3])
        XCTAssertEqual(ids("good filmx bad"), [2, 5, 1, 1, 3])
        XCTAssertEqual(ids(""), [2, 3])
        XCTAssertEqual(ids(String(repeating: "a", count: 101)), [2, 1, 3])
    }

    func testFoldsAndPaddingGoByCodePointsNotCharacters() {
        XCTAssertEqual(ids("A"), [2, 9, 3])
        XCTAssertEqual(ids("é"), [2, 8, 3])
        XCTAssertEqual(ids("e\u{301}"), [2, 8, 3])
        XCTAssertEqual(ids("a中a"), [2, 9, 12, 9, 3])
        XCTAssertEqual(ids("\r\ngood\u{0}"), [2, 1, 3])  // CR is one code point of a CRLF, and not removed here
    }

    func testOffsetsInUTF16AndInCodePoints() {
        let encoding = tokenizer.encode("\u{1F600} good")
        XCTAssertEqual(encoding.inputIDs, [2, 11, 5, 3])
        XCTAssertEqual(encoding.offsetsUTF16, [0..<0, 0..<2, 3..<7, 0..<0])
        XCTAssertEqual(encoding.offsetsCodePoint, [0..<0, 0..<1, 2..<6, 0..<0])
        XCTAssertEqual(encoding.sequences, [-1, 0, 0, -1])
    }

    func testAddedTokensSwallowSpacesWhereTheySaySo() {
        let encoding = tokenizer.encode("a [MASK] a[SEP] a")
        XCTAssertEqual(encoding.inputIDs, [2, 9, 4, 9, 3, 9, 3])
        XCTAssertEqual(encoding.offsetsCodePoint[2], 1..<8)
        XCTAssertEqual(encoding.offsetsCodePoint[4], 10..<15)
    }

    func testVersion2LooksForTokensInNormalizedText() throws {
        let late = try Tokenizer(Fixtures.tokenizer(version: 2))
        let encoding = late.encode("a good\u{0} A  b[SEP]good A")
        XCTAssertEqual(encoding.inputIDs, [2, 9, 0, 1, 3, 0, 3])
        XCTAssertEqual(late.encode("x good A  b").inputIDs, [2, 1, 0, 1, 3])
        XCTAssertEqual(late.encode("x good\u{0} A  b").offsetsCodePoint[2], 2..<11)
        XCTAssertEqual(tokenizer.encode("x good A").inputIDs, [2, 1, 5, 9, 3])
    }

    func testPairsAndTruncation() {
        XCTAssertEqual(ids("a a a", pair: "good"), [2, 9, 9, 9, 3, 5, 3])
        XCTAssertEqual(tokenizer.encode("a", pair: "good").tokenTypeIDs, [0, 0, 0, 1, 1])
        XCTAssertEqual(ids("a a a", pair: "good", maxLength: 5), [2, 9, 3, 5, 3])
        XCTAssertEqual(ids("a a a a", maxLength: 4), [2, 9, 9, 3])
        XCTAssertEqual(ids("a", maxLength: 1), [2, 3])
        for (first, second, room) in [(3, 5, 8), (3, 5, 6), (5, 3, 6), (9, 9, 7), (0, 9, 4), (9, 2, 3)] {
            let kept = Tokenizer.longestFirst(first, second, room)
            XCTAssertEqual(kept.first + kept.second, min(room, first + second))
            XCTAssert(kept.first <= first && kept.second <= second)
        }
    }

    func testWordsOfATextForTokenClassification() {
        let text = "films! 中a !a"
        let found = tokenizer.words(text, tokenizer.encode(text))
        XCTAssertEqual(found.map(\.range), [0..<5, 5..<6, 7..<8, 8..<9, 10..<11, 11..<12])
        XCTAssertEqual(found.map(\.firstToken), [1, 3, 4, 5, 6, 7])
    }

    func testAVersionThatThisAppDoesNotRead() {
        var data = Fixtures.tokenizer()
        data[4] = 3
        XCTAssert(message { _ = try Tokenizer(data) }.contains("version 3, this app reads 1 and 2"))
    }

    /// Whatever is changed or cut: an error or a tokenizer, never a crash.
    func testDamageIsAnErrorAndNeverACrash() {
        for version: UInt8 in 1...2 {
            let whole = Fixtures.tokenizer(version: version)
            for size in whole.indices { XCTAssertThrowsError(try Tokenizer(whole[..<size])) }
            Fixtures.damage(whole) { data in
                if let changed = try? Tokenizer(data) {
                    _ = changed.encode("good films! é 中 [MASK] A good A", pair: "a", maxLength: 6)
                }
            }
        }
    }
}
