// A small tokenizer.bin, a manifest and a folder to write into, made on the spot.
import Foundation
import XCTest

@testable import EdgepackCore

enum Fixtures {
    static let vocabulary = [
        "[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "good", "film", "##s", "e\u{301}", "a", "!", "\u{1F600}", "中",
    ]
    static let word = (pad: 0, unknown: 1, cls: 2, sep: 3, mask: 4)

    /// A tokenizer that folds A to a and é to e + U+0301, and pads 中; of version 2 it looks for "good a" late.
    static func tokenizer(version: UInt8 = 1) -> [UInt8] {
        var header = numbers(version == 1 ? [] : [0])
        header += numbers([0, vocabulary.count, word.unknown, 100]) + string("##")
        header += numbers([version == 1 ? 2 : 3, word.mask, 1]) + string("[MASK]") + numbers([word.sep, 0])
        header += string("[SEP]") + (version == 1 ? [] : numbers([word.pad, 6]) + string("good a"))
        header += numbers([3, 0, word.cls, 0, 1, 0, 0, 0, word.sep, 0])
        header += numbers([5, 0, word.cls, 0, 1, 0, 0, 0, word.sep, 0, 2, 0, 1, 0, word.sep, 1])
        let lengths: [UInt8] = vocabulary.flatMap { token -> [UInt8] in [0] + numbers([token.utf8.count]) }
        let suffixes: [UInt8] = vocabulary.flatMap { Array($0.utf8) }
        let classes = numbers([1, 0, 9]) + numbers([1, 0x20, 1]) + numbers([1, 0x21, 1]) + numbers([1, 0x4E2D, 1])
        let folds = numbers([2, 0x41, 0xE9 - 0x41, 1, 2, 2 * 0x61, 2 * 4, 2 * (0x301 - 0x65)])
        let ranks = numbers([1, 0x301, 230])
        return asset(version: version, [header, lengths, suffixes, classes, folds, ranks])
    }

    /// A tokenizer.bin of these streams.
    static func asset(version: UInt8, _ streams: [[UInt8]]) -> [UInt8] {
        Array("EPTK".utf8) + [version]
            + streams.map(packed).flatMap { stream -> [UInt8] in little(stream.count, bytes: 4) + stream }
    }

    /// Tries a tokenizer.bin with each byte changed, then with streams that unpack and say something else.
    static func damage(_ whole: [UInt8], _ use: ([UInt8]) -> Void) {
        var generator = SystemRandomNumberGenerator()
        for place in whole.indices {
            for _ in 0..<4 {
                var data = whole
                data[place] ^= UInt8.random(in: 1...255, using: &generator)
                use(data)
            }
        }
        var (streams, at) = ([Range<Int>](), 5)
        while at < whole.count {
            let size = whole[at..<at + 4].reversed().reduce(0) { $0 << 8 | Int($1) }
            streams.append(at + 4 + 7..<at + 4 + size - 4)  // the content of a stored block
            at += 4 + size
        }
        for _ in 0..<3000 {
            var data = whole
            let stream = streams.randomElement(using: &generator)!
            data[stream.randomElement(using: &generator)!] = UInt8.random(in: 0...255, using: &generator)
            let repacked = packed(Array(data[stream]))
            data.replaceSubrange(stream.lowerBound - 7..<stream.upperBound + 4, with: repacked)
            use(data)
        }
    }

    /// A zlib stream of one stored block.
    static func packed(_ bytes: [UInt8]) -> [UInt8] {
        var (low, high) = (1, 0)
        for byte in bytes {
            low = (low + Int(byte)) % 65521
            high = (high + low) % 65521
        }
        let checksum = Array(little(high << 16 | low, bytes: 4).reversed())
        return [0x78, 0x01, 0x01] + little(bytes.count, bytes: 2) + little(~bytes.count & 0xFFFF, bytes: 2) + bytes
            + checksum
    }

    static func little(_ value: Int, bytes: Int) -> [UInt8] {
        (0..<bytes).map { UInt8(value >> (8 * $0) & 0xFF) }
    }

    static func numbers(_ values: [Int]) -> [UInt8] {
        values.flatMap { value -> [UInt8] in
            var (rest, bytes) = (value, [UInt8]())
            while rest > 0x7F {
                bytes.append(UInt8(rest & 0x7F | 0x80))
                rest >>= 7
            }
            return bytes + [UInt8(rest)]
        }
    }

    static func string(_ text: String) -> [UInt8] { numbers([text.utf8.count]) + Array(text.utf8) }

    /// A range for each code point.
    static func ranges(_ points: [Int]) -> [UInt8] {
        var end = 0
        var list = numbers([points.count])
        for point in points {
            list += numbers([point - end, 1])
            end = point + 1
        }
        return list
    }

    /// A manifest whose files are these, by path; the JSON's own text, so that tests can spoil it.
    static func manifest(
        _ files: [String: [UInt8]], task: String = "text-classification", labels: [String] = ["no", "yes"],
        runtime: String = "fake", more: String = ""
    ) -> String {
        let records = files.sorted { $0.key < $1.key }.map { path, bytes in
            var sha = Sha256()
            sha.update(bytes)
            return #"{"path": "\#(path)", "bytes": \#(bytes.count), "sha256": "\#(sha.finish())", "shipped": true}"#
        }
        let names = labels.map { "\"\($0)\"" }.joined(separator: ", ")
        return """
            {"schema": 1, \(more)"task": "\(task)", "pair": false, "labels": [\(names)], "max_length": 8, "padding": {"id": 7}, "unknown": {"kept": 1},
             "inputs": [{"name": "input_ids", "dtype": "int64", "shape": ["batch", "seq"]}],
             "outputs": [{"name": "logits", "dtype": "float32", "shape": ["batch", 2]}], "target": "ios-onnx",
             "runtime": {"name": "\(runtime)", "min_version": "1.16"}, "files": [\(records.joined(separator: ", "))],
             "shipped_bytes": 10, "metrics": {"artifact": {"name": "accuracy", "value": 0.9, "n": 10, "low": 0.8, "high": 1.0}}}
            """
    }

    static func folder(_ test: XCTestCase) throws -> URL {
        let folder = FileManager.default.temporaryDirectory.appendingPathComponent("edgepack-\(UUID().uuidString)")
        try FileManager.default.createDirectory(at: folder, withIntermediateDirectories: true)
        test.addTeardownBlock { try? FileManager.default.removeItem(at: folder) }
        return folder
    }

    /// An assets folder with these files and their manifest.
    static func bundle(_ test: XCTestCase, _ files: [String: [UInt8]], manifest text: String? = nil) throws
        -> BundleFiles
    {
        let folder = try Self.folder(test)
        for (path, bytes) in files {
            let place = folder.appendingPathComponent("assets/\(path)")
            try FileManager.default.createDirectory(
                at: place.deletingLastPathComponent(), withIntermediateDirectories: true)
            try Data(bytes).write(to: place)
        }
        try (text ?? manifest(files)).write(
            to: folder.appendingPathComponent("assets/edgepack.json"), atomically: true, encoding: .utf8)
        return try BundleFiles(
            assets: folder.appendingPathComponent("assets"), storage: folder.appendingPathComponent("storage"))
    }
}

/// The error's message, or a failure.
func message(_ file: StaticString = #filePath, _ line: UInt = #line, of body: () throws -> Void) -> String {
    var thrown: Error?
    do { try body() } catch { thrown = error }
    return message(of: thrown, file, line)
}

func message(_ file: StaticString = #filePath, _ line: UInt = #line, of body: () async throws -> Void) async -> String {
    var thrown: Error?
    do { try await body() } catch { thrown = error }
    return message(of: thrown, file, line)
}

private func message(of thrown: Error?, _ file: StaticString, _ line: UInt) -> String {
    XCTAssert(thrown is BundleError, thrown.map { "\($0)" } ?? "nothing was thrown", file: file, line: line)
    return thrown?.localizedDescription ?? ""
}
