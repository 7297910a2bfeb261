// The rule of words on tokens that are given, so that one test holds for every kind of tokenizer.
import XCTest

@testable import EdgepackCore

final class WordsTests: XCTestCase {
    private struct Case {
        let text: String
        let tokens: [Range<Int>]
        let words: [(Int, Range<Int>)]
    }

    private let cases = [
        Case(text: "o'clock)...", tokens: [0..<1, 1..<2, 2..<7, 7..<11], words: [(0, 0..<7), (3, 7..<11)]),
        Case(
            text: "He: \"Go.\"", tokens: [0..<2, 2..<3, 3..<5, 5..<7, 7..<9],
            words: [(0, 0..<2), (1, 2..<3), (2, 4..<5), (3, 5..<7), (4, 7..<9)]),
        Case(text: "...ab", tokens: [0..<3, 3..<5], words: [(0, 0..<3), (1, 3..<5)]),
        Case(text: "(a", tokens: [0..<2], words: [(0, 0..<2)]),  // a token that is both is not cut
        Case(text: "to  Oslo ", tokens: [0..<2, 2..<3, 3..<8, 8..<9], words: [(0, 0..<2), (2, 4..<8)]),
        // bytes of a character
        Case(text: "中a", tokens: [0..<1, 0..<1, 0..<1, 1..<2], words: [(0, 0..<1), (3, 1..<2)]),
        Case(text: "中文", tokens: [0..<1, 0..<2, 1..<2], words: [(0, 0..<2)]),
        Case(text: "“a", tokens: [0..<1, 0..<1, 1..<2], words: [(0, 0..<1), (2, 1..<2)]),
        // a token of spaces is the word's own, where it stands right before it
        Case(text: "中国", tokens: [0..<1, 0..<2], words: [(0, 0..<2)]),
        Case(text: "a 中", tokens: [0..<1, 1..<2, 2..<3], words: [(0, 0..<1), (1, 2..<3)]),
        Case(text: "a 中", tokens: [0..<1, 2..<2, 2..<3], words: [(0, 0..<1), (1, 2..<3)]),
        Case(text: "a  中", tokens: [0..<1, 1..<2, 2..<4], words: [(0, 0..<1), (2, 3..<4)]),
        Case(text: "a   中", tokens: [0..<1, 1..<3, 3..<4, 4..<5], words: [(0, 0..<1), (2, 4..<5)]),
        Case(text: "a\n中", tokens: [0..<1, 1..<2, 2..<3], words: [(0, 0..<1), (2, 2..<3)]),
        Case(text: "a", tokens: [0..<0, 0..<1], words: [(0, 0..<1)]),
        Case(text: "中a", tokens: [0..<1, 2..<2, 1..<2], words: [(0, 0..<1), (1, 1..<2)]),
        Case(text: "<m>a", tokens: [0..<3, 4..<4, 3..<4], words: [(0, 0..<4)]),
        Case(text: "  ", tokens: [0..<1, 1..<2], words: []),
        Case(text: "a ", tokens: [0..<1, 1..<2], words: [(0, 0..<1)]),
        Case(text: "北京大学在iPhone", tokens: [0..<2, 2..<4, 4..<11], words: [(0, 0..<2), (1, 2..<4), (2, 4..<11)]),
        Case(text: "..", tokens: [0..<1, 1..<2], words: [(0, 0..<1), (1, 1..<2)]),
    ]

    func testWordsOfTokens() throws {
        var points = PointTable()
        for space in " \n".unicodeScalars { try points.set(PointTable.space, at: Int(space.value)) }
        for mark in "'().:\"“<>".unicodeScalars { try points.set(PointTable.punctuation, at: Int(mark.value)) }
        for point in 0x4E00..<0xA000 { try points.set(PointTable.padded, at: point) }
        for each in cases {
            let finder = WordFinder(points: points, text: each.text.unicodeScalars.map(\.value))
            let found = finder.words(each.tokens.enumerated().map { ($0.offset, $0.element) })
            XCTAssertEqual(found.map(\.firstToken), each.words.map(\.0), each.text)
            XCTAssertEqual(found.map(\.range), each.words.map(\.1), each.text)
        }
    }
}
