// What is kept is used where it is whole, of this model and of this version; it is made again else, and never needed.
import XCTest

@testable import EdgepackCore

final class ModelCacheTests: XCTestCase {
    private struct Refused: Error {}

    private func folder() -> URL {
        let place = FileManager.default.temporaryDirectory.appendingPathComponent(UUID().uuidString)
        addTeardownBlock { try? FileManager.default.removeItem(at: place) }
        return place
    }

    private func manifest(_ model: String = "model") throws -> Manifest {
        let files = ["tokenizer.bin": Fixtures.tokenizer(), "onnx/model.onnx": Array(model.utf8)]
        return try Manifest.read(Data(Fixtures.manifest(files).utf8))
    }

    /// As ONNX Runtime: opened on the way.
    private func openFile(_ cache: ModelCache, _ model: String = "model", _ version: String = "1") throws -> String? {
        cache.open(
            try manifest(model), version,
            open: { "kept " + (try String(contentsOf: $0, encoding: .utf8)) },
            make: { place in
                try Data("unpacked".utf8).write(to: place)
                return "made"
            })
    }

    /// As Core ML: a folder, which is opened from its place.
    private func openFolder(_ cache: ModelCache) throws -> String? {
        cache.open(
            try manifest(), "18.0",
            open: { try String(contentsOf: $0.appendingPathComponent("inner/weights"), encoding: .utf8) },
            make: { place in
                let inner = place.appendingPathComponent("inner")
                try FileManager.default.createDirectory(at: inner, withIntermediateDirectories: true)
                try Data("weights".utf8).write(to: inner.appendingPathComponent("weights"))
                return nil
            })
    }

    private func kept(_ place: URL) throws -> [URL] {
        try FileManager.default.contentsOfDirectory(at: place, includingPropertiesForKeys: nil)
    }

    func testWhatWasKeptIsOpenedTheNextTime() throws {
        let cache = ModelCache(folder())
        let answers = try (0..<3).map { _ in try openFile(cache) }
        XCTAssertEqual(answers, ["made", "kept unpacked", "kept unpacked"])
    }

    func testAFolderIsKeptToo() throws {
        let place = folder()
        let answers = try (0..<2).map { _ in try openFolder(ModelCache(place)) }
        XCTAssertEqual(answers, ["weights", "weights"])
        XCTAssertEqual(try kept(place).count, 1)
        let weights = try kept(place)[0].appendingPathComponent("inner/weights")
        try Data("cut".utf8).write(to: weights)
        XCTAssertEqual(try openFolder(ModelCache(place)), "weights")
    }

    func testAnotherModelAnotherVersionAndACutFileAreMadeAgain() throws {
        let place = folder()
        let cache = ModelCache(place)
        XCTAssertEqual(try openFile(cache), "made")
        XCTAssertEqual(try openFile(cache, "other"), "made")
        XCTAssertEqual(try openFile(cache, "other", "2"), "made")
        try Data("unp".utf8).write(to: try kept(place)[0])
        XCTAssertEqual(try openFile(cache, "other", "2"), "made")
        XCTAssertEqual(try openFile(cache, "other", "2"), "kept unpacked")
        XCTAssertEqual(try kept(place).count, 1)
    }

    func testWhatTheRuntimeRefusesIsMadeAgainAndAFailureLeavesNothing() throws {
        let place = folder()
        let cache = ModelCache(place)
        _ = try openFile(cache)
        let refused: String? = cache.open(
            try manifest(), "1", open: { _ in throw Refused() },
            make: { place in
                try Data("half".utf8).write(to: place)
                throw Refused()
            })
        XCTAssertNil(refused)
        XCTAssertEqual(try kept(place), [])
        XCTAssertEqual(try openFile(cache), "made")
    }
}
