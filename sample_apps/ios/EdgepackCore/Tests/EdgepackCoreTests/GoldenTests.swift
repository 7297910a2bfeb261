// The same ids and offsets as the Hugging Face fast tokenizer's, on golden vectors and on fuzzed strings.
//
// EDGEPACK_GOLDENS names folders, divided by colons; each holds a tokenizer.bin and files of lines, *.jsonl, as
// golden.jsonl of a bundle: `text`, `pair`, `input_ids`, `token_type_ids`, `offsets_utf16` and, where they are there,
// `offsets_codepoint` and `max_length` (else edgepack.json's).
import XCTest

@testable import EdgepackCore

final class GoldenTests: XCTestCase {
    private struct Line: Decodable {
        let text: String
        let pair: String?
        let max_length: Int?
        let input_ids: [Int]
        let token_type_ids: [Int]
        let offsets_utf16: [[Int]]
        let offsets_codepoint: [[Int]]?
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
                let encoding = tokenizer.encode(
                    line.text, pair: line.pair, maxLength: line.max_length ?? manifest?.maxLength)
                count += 1
                if !isEqual(encoding, line) {
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

    private func isEqual(_ encoding: Encoding, _ line: Line) -> Bool {
        encoding.inputIDs == line.input_ids && encoding.tokenTypeIDs == line.token_type_ids
            && encoding.offsetsUTF16.map { [$0.lowerBound, $0.upperBound] } == line.offsets_utf16
            && (line.offsets_codepoint == nil
                || encoding.offsetsCodePoint.map { [$0.lowerBound, $0.upperBound] } == line.offsets_codepoint)
    }
}
