// The same ids and offsets as the Hugging Face fast tokenizer's, on golden vectors and on fuzzed strings, and the same
// words as the reference's.
//
// EDGEPACK_GOLDENS names folders, divided by colons; each holds a tokenizer.bin and files of lines, *.jsonl, as
// golden.jsonl of a bundle: `text`, `pair`, `input_ids`, `token_type_ids`, `offsets_utf16` and, where they are there,
// `offsets_codepoint` and `max_length` (else edgepack.json's). `words` are those of the text: first token, start and
// end, in UTF-16. A line without `input_ids` has the offsets of the text's own tokens, for its words alone.
import XCTest

@testable import EdgepackCore

final class GoldenTests: XCTestCase {
    private struct Line: Decodable {
        let text: String
        let pair: String?
        let max_length: Int?
        let input_ids: [Int]?
        let token_type_ids: [Int]?
        let offsets_utf16: [[Int]]
        let offsets_codepoint: [[Int]]?
        let words: [[Int]]?
        let windows: [[Int]]?
    }

    private struct WindowLine: Decodable {
        let text: String
        let pair: String?
        let max_length: Int
        let overlap: Int
        let combine: Windows.Combine
        let columns: Int
        let windows: [[Int]]
        let inputs: [[Int]]
        let found: [[Float]]
        let logits: [Float]
    }

    /// The lines of windows.jsonl, which tests/apps/long_texts.py of edgepack writes.
    func testWindowsAreTheReferences() throws {
        let folders = ProcessInfo.processInfo.environment["EDGEPACK_GOLDENS"]?.split(separator: ":") ?? []
        for folder in folders.map({ URL(fileURLWithPath: String($0)) }) {
            guard let data = try? Data(contentsOf: folder.appendingPathComponent("windows.jsonl")) else { continue }
            let tokenizer = try Tokenizer(try Data(contentsOf: folder.appendingPathComponent("tokenizer.bin")))
            var count = 0
            for row in data.split(separator: UInt8(ascii: "\n")) {
                count += 1
                let line = try JSONDecoder().decode(WindowLine.self, from: row)
                let encoding = tokenizer.encode(line.text, pair: line.pair, maxLength: line.max_length, whole: true)
                let spans = try Windows.spans(encoding.sequences, maxLength: line.max_length, overlap: line.overlap)
                XCTAssertEqual(spans.map { [$0.lowerBound, $0.upperBound] }, line.windows, "line \(count)")
                XCTAssertEqual(spans.map { encoding.window(spans, $0).inputIDs }, line.inputs, "line \(count)")
                let logits = Windows.combined(
                    line.found, spans, count: encoding.inputIDs.count, columns: line.columns, by: line.combine)
                XCTAssertEqual(logits.count, line.logits.count, "line \(count)")
                XCTAssertTrue(zip(logits, line.logits).allSatisfy { abs($0 - $1) < 2e-5 }, "line \(count)")
            }
            print("compared \(count) texts in windows of \(folder.lastPathComponent)")
            XCTAssertGreaterThan(count, 0)
        }
    }

    private struct AnswerLine: Decodable {
        let text: String
        let logits: [Float]?
        let labels: [String]?
        let score: Double?
    }

    func testLabelSetsAreTheReferences() throws {
        try eachAnswer("label sets", where: { $0.thresholds != nil }) { manifest, logits, line in
            let found = labelSet(logits, manifest.labels, thresholds: manifest.thresholds!).map(\.label)
            XCTAssertEqual(Set(found), Set(try XCTUnwrap(line.labels)), line.text)
        }
    }

    func testScoresAreTheReferences() throws {
        try eachAnswer("scores", where: { $0.problem == .score }) { manifest, logits, line in
            let found = scoreOf(logits[0], manifest.activation)
            XCTAssertEqual(found, try XCTUnwrap(line.score), accuracy: 1e-3, line.text)
        }
    }

    /// Every line with logits of the folders whose manifest is such a one; fuzzed strings have none.
    private func eachAnswer(
        _ name: String, where isMeant: (Manifest) -> Bool, check: (Manifest, [Float], AnswerLine) throws -> Void
    ) throws {
        let folders = ProcessInfo.processInfo.environment["EDGEPACK_GOLDENS"]?.split(separator: ":") ?? []
        for folder in folders.map({ URL(fileURLWithPath: String($0)) }) {
            guard let data = try? Data(contentsOf: folder.appendingPathComponent("edgepack.json")),
                let manifest = try? Manifest.read(data), isMeant(manifest)
            else { continue }
            var count = 0
            let names = try FileManager.default.contentsOfDirectory(atPath: folder.path)
            for name in names.sorted() where name.hasSuffix(".jsonl") {
                let data = try Data(contentsOf: folder.appendingPathComponent(name))
                for row in data.split(separator: UInt8(ascii: "\n")) {
                    let line = try JSONDecoder().decode(AnswerLine.self, from: row)
                    guard let logits = line.logits else { continue }
                    try check(manifest, logits, line)
                    count += 1
                }
            }
            print("compared \(count) \(name) of \(folder.lastPathComponent)")
            XCTAssertGreaterThan(count, 0)
        }
    }

    func testIdsAndOffsetsAreTheReferences() throws {
        guard let folders = ProcessInfo.processInfo.environment["EDGEPACK_GOLDENS"] else {
            throw XCTSkip("EDGEPACK_GOLDENS names no folders")
        }
        for folder in folders.split(separator: ":").map({ URL(fileURLWithPath: String($0)) }) {
            try compare(folder)
        }
    }

    private func compare(_ folder: URL) throws {
        let tokenizer = try Tokenizer(try Data(contentsOf: folder.appendingPathComponent("tokenizer.bin")))
        let manifest = try? Manifest.read(Data(contentsOf: folder.appendingPathComponent("edgepack.json")))
        let names = try FileManager.default.contentsOfDirectory(atPath: folder.path).filter { $0.hasSuffix(".jsonl") }
        XCTAssertFalse(names.isEmpty, "\(folder.path) has no lines to compare with")
        for name in names.sorted() {
            let data = try Data(contentsOf: folder.appendingPathComponent(name))
            var (count, differ) = (0, 0)
            for row in data.split(separator: UInt8(ascii: "\n")) {
                let line = try JSONDecoder().decode(Line.self, from: row)
                count += 1
                if !isEqual(tokenizer, line, line.max_length ?? manifest?.maxLength) {
                    differ += 1
                    if differ <= 5 {
                        XCTFail("\(name), line \(count): \(row.prefix(300).map { String(UnicodeScalar($0)) }.joined())")
                    }
                }
            }
            print("compared \(count) lines of \(folder.lastPathComponent)/\(name): \(differ) differ")
            XCTAssertGreaterThan(count, 0)
            XCTAssertEqual(differ, 0)
        }
    }

    private func isEqual(_ tokenizer: Tokenizer, _ line: Line, _ maxLength: Int?) -> Bool {
        if line.input_ids == nil { return line.words == words(of: line, tokenizer) }
        let whole = line.windows != nil
        let encoding = tokenizer.encode(line.text, pair: line.pair, maxLength: maxLength, whole: whole)
        let found = line.words == nil ? nil : inUTF16(tokenizer.words(line.text, encoding), line.text)
        return encoding.inputIDs == line.input_ids && encoding.tokenTypeIDs == line.token_type_ids
            && encoding.offsetsUTF16.map { [$0.lowerBound, $0.upperBound] } == line.offsets_utf16
            && (line.offsets_codepoint == nil
                || encoding.offsetsCodePoint.map { [$0.lowerBound, $0.upperBound] } == line.offsets_codepoint)
            && found == line.words
    }

    /// The words of tokens of which a line has the offsets.
    private func words(of line: Line, _ tokenizer: Tokenizer) -> [[Int]] {
        let units = unitsBefore(line.text)
        let places = Dictionary(uniqueKeysWithValues: zip(units, units.indices))
        let finder = WordFinder(points: tokenizer.model.points, text: line.text.unicodeScalars.map(\.value))
        let tokens = line.offsets_utf16.map { places[$0[0]]!..<places[$0[1]]! }
        return inUTF16(finder.words(tokens.enumerated().map { ($0.offset, $0.element) }), line.text)
    }

    private func inUTF16(_ words: [Word], _ text: String) -> [[Int]] {
        let units = unitsBefore(text)
        return words.map { [$0.firstToken, units[$0.range.lowerBound], units[$0.range.upperBound]] }
    }

    private func unitsBefore(_ text: String) -> [Int] {
        text.unicodeScalars.reduce(into: [0]) { units, scalar in units.append(units.last! + scalar.utf16.count) }
    }
}
