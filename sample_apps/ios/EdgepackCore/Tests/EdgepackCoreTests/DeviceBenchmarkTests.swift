// The benchmark and the golden check over a runtime that is none, and the report that they write.
import XCTest

@testable import EdgepackCore

private struct Facts: DeviceFacts {
    var device = "a \"phone\" 😀"
    let os = "an OS 1"
    let app = "dev.test 1.0"
    var state = Thermal.fair
    func thermal() -> Thermal { state }
}

/// How many tokens each run had.
private final class Asked: @unchecked Sendable {
    private let lock = NSLock()
    private var found = [Int]()
    func add(_ count: Int) { lock.withLock { found.append(count) } }
    var counts: [Int] { lock.withLock { found } }
}

final class DeviceBenchmarkTests: XCTestCase {
    private let files = ["tokenizer.bin": Fixtures.tokenizer(), "onnx/model.onnx": Array("model".utf8)]

    private func golden(_ text: String, _ logits: String, ids: Int = 0) throws -> String {
        let encoding = try Tokenizer(Data(Fixtures.tokenizer())).encode(text, maxLength: 8)
        let spans = encoding.offsetsUTF16.map { [$0.lowerBound, $0.upperBound] }
        return #"{"text": "\#(text)", "input_ids": \#(encoding.inputIDs.map { $0 + ids }), "#
            + #""token_type_ids": \#(encoding.tokenTypeIDs), "offsets_utf16": \#(spans), "logits": \#(logits)}"#
    }

    private func measure(
        _ goldens: [String], _ asked: Asked = Asked(), facts: Facts = Facts(), counts: [Int] = [4, 8, 16]
    ) async throws -> DeviceReport {
        let bundle = try Fixtures.bundle(self, files)
        let runtime = FakeRuntime { inputs in
            asked.add(inputs.tokenCount)
            return [1, -1]
        }
        let benchmark = try DeviceBenchmark(bundle, runtimes: [runtime], facts: facts, counts: counts, runs: 4)
        return try await benchmark.measure(
            try bundle.shippedModel(), goldens: Data(goldens.joined(separator: "\n").utf8))
    }

    func testEveryLengthIsTimedInTurnAndTheReportHasItAll() async throws {
        let asked = Asked()
        let report = try await measure([golden("good", "[1.0, -1.0]")], asked)
        XCTAssertEqual(asked.counts.dropLast(), [4] + (0..<7).flatMap { _ in [4, 8] })  // the first, three and four rounds
        XCTAssertEqual(report.p50Milliseconds.keys.sorted(), [4, 8])
        XCTAssertTrue(report.p50Milliseconds.allSatisfy { $1 > 0 && $1 <= report.p95Milliseconds[$0]! })
        XCTAssertGreaterThan(report.residentBytes, 1_000_000)
        XCTAssertGreaterThanOrEqual(report.peakBytes, report.residentBytes)
        let read = try JSONSerialization.jsonObject(with: report.json()) as? [String: Any]
        XCTAssertEqual(read?["device"] as? String, "a \"phone\" 😀")
        XCTAssertEqual(read?["runtime"] as? String, "fake 1.16")
        XCTAssertEqual(read?["thermal"] as? String, "fair")
        XCTAssertEqual(["schema", "goldens", "goldens_passed", "runs"].map { read?[$0] as? Int }, [1, 1, 1, 4])
        XCTAssertEqual(read?["resident_bytes"] as? Int, report.residentBytes)
        XCTAssertEqual((read?["p95_ms"] as? [String: Double])?.keys.sorted(), ["4", "8"])
        XCTAssertEqual(try JSONDecoder().decode(DeviceReport.self, from: report.json()), report)
    }

    func testAShortModelIsTimedAtItsOwnLength() async throws {
        let report = try await measure([], counts: [16, 32])
        XCTAssertEqual(Array(report.p50Milliseconds.keys), [8])
    }

    func testOtherTokensAndOtherLogitsDoNotPass() async throws {
        let right = try golden("good", "[1.1, -0.95]")
        let report = try await measure([
            right, golden("good", "[1.0, -1.0]", ids: 1), golden("good", "[[1.0, -1.0], [0.0, 0.0]]"),
        ])
        XCTAssertEqual([report.goldens, report.goldensPassed], [3, 1])
        let off = try await measure([golden("good", "[0.9, -1.2]")])
        XCTAssertEqual(off.goldensPassed, 0)
        let allOff = try await measure([golden("good", "[1.1, -1.1]"), golden("good", "[1.1, -1.1]")])
        XCTAssertEqual(allOff.goldensPassed, 0, "each is near, all together are not")
        do {
            _ = try await measure([right, "{}"])
            XCTFail("a line that is no golden")
        } catch let error as BundleError {
            XCTAssert(error.localizedDescription.contains("golden.jsonl has a line that is no golden vector"))
        }
    }

    func testPercentilesLieBetweenValues() {
        XCTAssertEqual([0.5, 1, 0, 0.25].map { percentile([4, 1, 3, 2], $0) }, [2.5, 4, 1, 1.75])
    }

    func testTheWarmestStateCounts() {
        XCTAssertEqual(Thermal.nominal.or(.serious), .serious)
        XCTAssertEqual(Thermal.fair.or(.unknown), .unknown)
        XCTAssertEqual(Thermal.unknown.or(.critical), .critical)
        XCTAssertEqual(Thermal.fair.or(.nominal), .fair)
    }

    func testMemoryIsReadFromTheSystemsOwnLines() throws {
        let memory = try ProcessMemory.read("Name:\tx\nVmHWM:\t    2048 kB\nVmRSS:\t  1024 kB\n")
        XCTAssertEqual([memory.residentBytes, memory.peakBytes], [1_048_576, 2_097_152])
        let late = try ProcessMemory.read("VmHWM: 1 kB\nVmRSS: 2 kB\n")
        XCTAssertEqual(late.peakBytes, 2_048, "a peak is never less than what is there now")
        XCTAssertThrowsError(try ProcessMemory.read("VmRSS: 1 kB\n"))
    }

    func testTheHashOfAModelIsEdgepacks() throws {
        let manifest = try Manifest.read(Data(Fixtures.manifest(files).utf8))
        XCTAssertEqual(manifest.artifactSHA256, manifest.modelFiles[0].sha256)
        let folder = ["m/b.bin": [UInt8](), "m/a/b.bin": [1], "tokenizer.bin": [2]]
        let other = try Manifest.read(Data(Fixtures.manifest(folder, runtime: "coreml").utf8))
        // edgepack.workspace.hash_json of both paths and their hashes
        XCTAssertEqual(other.artifactSHA256, "7f46548718cacfe28d624c9b9f2a2e54d823152a41b59aa5fd2a309d85acb5ad")
    }

    /// The report of this computer, by the code that measures on a phone, over the answers of the bundle's own goldens.
    func testTheReportOfThisComputer() async throws {
        let environment = ProcessInfo.processInfo.environment
        guard let bundle = environment["EDGEPACK_BUNDLE"], let place = environment["EDGEPACK_REPORT"] else {
            throw XCTSkip("EDGEPACK_BUNDLE and EDGEPACK_REPORT name no bundle and no file")
        }
        let assets = URL(fileURLWithPath: bundle)
        let files = try BundleFiles(assets: assets, storage: try Fixtures.folder(self))
        let data = try Data(contentsOf: assets.appendingPathComponent("golden.jsonl"))
        let known = Dictionary(
            try GoldenCheck.lines(data).map { ($0.inputIDs.map(Int64.init), $0.logits.map(Float.init)) }) { first, _ in first }
        let columns = files.manifest.labels.count
        let runtime = RecordedRuntime(name: files.manifest.runtime.name) { inputs in
            known[inputs.inputIDs] ?? [Float](repeating: 0, count: columns)
        }
        let facts = Facts(device: "a computer", state: .unknown)  // Linux's Foundation does not say how warm it is
        let benchmark = try DeviceBenchmark(files, runtimes: [runtime], facts: facts)
        let report = try await benchmark.measure(try files.shippedModel(), goldens: data)
        try report.json().write(to: URL(fileURLWithPath: place))
    }
}

/// Answers that are known, in the name of a runtime.
private struct RecordedRuntime: ModelRuntime {
    let name: String
    let version = "99"
    let rows: @Sendable (ModelInputs) -> [Float]

    func load(_ model: URL, _ manifest: Manifest) throws -> ModelSession { FakeRuntime.Session(rows: rows) }
}
