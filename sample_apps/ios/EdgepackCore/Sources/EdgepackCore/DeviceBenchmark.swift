// Times a model as edgepack does on a computer: one text at a time, texts of several lengths in turn. Before that it opens the
// model once, in a process that should not have opened it yet, and afterwards it runs the bundle's golden vectors.
import Foundation

/// What the benchmark asks of whatever it runs on.
public protocol DeviceFacts: Sendable {
    /// Maker and model.
    var device: String { get }
    /// The system with its version.
    var os: String { get }
    /// The app's id and version.
    var app: String { get }
    /// How warm it is now.
    func thermal() -> Thermal
}

public struct DeviceBenchmark: Sendable {
    private static let warmUps = 3
    private static let token = 5  // any that every vocabulary has: the time does not depend on it

    private let files: BundleFiles
    private let runtime: ModelRuntime
    private let facts: DeviceFacts
    private let counts: [Int]
    private let runs: Int
    private var manifest: Manifest { files.manifest }

    public init(
        _ files: BundleFiles, runtimes: [ModelRuntime], facts: DeviceFacts, counts: [Int] = [16, 32, 64, 128], runs: Int = 50
    ) throws {
        self.files = files
        runtime = try files.manifest.runtime(among: runtimes)
        self.facts = facts
        let known = counts.filter { $0 <= files.manifest.maxLength }
        self.counts = known.isEmpty ? [files.manifest.maxLength] : known
        self.runs = runs
    }

    /// The figures of the model at `model`; `goldens` is a bundle's golden.jsonl.
    public func measure(_ model: URL, goldens: Data) async throws -> DeviceReport {
        let (before, clock) = (facts.thermal(), ContinuousClock())
        let start = clock.now
        let session = try await runtime.load(model, manifest)
        let load = milliseconds(clock.now - start)
        let loaded = try ProcessMemory.now()
        let first = try await time(session, counts[0])
        let times = try await times(session)
        let check = GoldenCheck(manifest: manifest, tokenizer: try files.tokenizer(), session: session)
        let lines = try GoldenCheck.lines(goldens)
        let passed = try await check.passed(lines)
        return DeviceReport(
            device: facts.device, os: facts.os, runtime: "\(runtime.name) \(runtime.version)", app: facts.app,
            created: Date().ISO8601Format(), artifactSHA256: manifest.artifactSHA256, loadMilliseconds: load,
            firstMilliseconds: first, p50Milliseconds: times.mapValues { percentile($0, 0.5) },
            p95Milliseconds: times.mapValues { percentile($0, 0.95) }, runs: runs,
            peakBytes: max(loaded.peakBytes, try ProcessMemory.now().peakBytes), residentBytes: loaded.residentBytes,
            thermal: before.or(facts.thermal()), goldens: lines.count, goldensPassed: passed)
    }

    private func times(_ session: ModelSession) async throws -> [Int: [Double]] {
        for _ in 0..<Self.warmUps {
            for count in counts { _ = try await time(session, count) }
        }
        var found = [Int: [Double]]()
        for _ in 0..<runs {
            for count in counts { found[count, default: []].append(try await time(session, count)) }
        }
        return found
    }

    private func time(_ session: ModelSession, _ count: Int) async throws -> Double {
        let ids = [Int](repeating: Self.token, count: count)
        let inputs = ModelInputs(ids, [Int](repeating: 0, count: count), manifest)
        let clock = ContinuousClock()
        let start = clock.now
        _ = try await session.logits(inputs)
        return milliseconds(clock.now - start)
    }
}

/// Above 0, as no time of a run is less than a clock's step.
func milliseconds(_ duration: Duration) -> Double {
    max(1e-6, Double(duration.components.seconds) * 1e3 + Double(duration.components.attoseconds) / 1e15)
}

/// A share of the values that lie below, between two of them in proportion.
func percentile(_ values: [Double], _ share: Double) -> Double {
    let sorted = values.sorted()
    let place = share * Double(sorted.count - 1)
    let (below, above) = (sorted[Int(place.rounded(.down))], sorted[Int(place.rounded(.up))])
    return below + (above - below) * (place - place.rounded(.down))
}

/// How much memory the process takes.
struct ProcessMemory {
    let residentBytes: Int
    let peakBytes: Int

    static func now() throws -> ProcessMemory {
        #if canImport(Darwin)
        var info = mach_task_basic_info()
        var count = mach_msg_type_number_t(MemoryLayout<mach_task_basic_info>.size / MemoryLayout<integer_t>.size)
        let status = withUnsafeMutablePointer(to: &info) {
            $0.withMemoryRebound(to: integer_t.self, capacity: Int(count)) {
                // mach_task_self_ is a variable, which Swift 6 refuses before the SDK of Xcode 16.3
                task_info(task_self_trap(), task_flavor_t(MACH_TASK_BASIC_INFO), $0, &count)
            }
        }
        guard status == KERN_SUCCESS else { throw BundleError("the system does not say how much memory is used") }
        return ProcessMemory(resident: Int(info.resident_size), peak: Int(info.resident_size_max))
        #else
        return try read(String(contentsOfFile: "/proc/self/status", encoding: .utf8))
        #endif
    }

    /// From the lines of Linux's /proc/self/status.
    static func read(_ status: String) throws -> ProcessMemory {
        func bytes(_ name: String) throws -> Int {
            let line = status.split(separator: "\n").first { $0.hasPrefix("\(name):") }
            guard let number = line?.split(whereSeparator: \.isWhitespace).dropFirst().first.flatMap({ Int($0) }) else {
                throw BundleError("the system does not say \(name) of this process")
            }
            return number * 1024
        }
        return ProcessMemory(resident: try bytes("VmRSS"), peak: try bytes("VmHWM"))
    }

    /// Systems count lazily: what is resident now may not be in their peak yet.
    private init(resident: Int, peak: Int) {
        (residentBytes, peakBytes) = (resident, max(resident, peak))
    }
}

/// Runs golden vectors again: tokens must be the reference's, logits near it (docs/bundle.md of edgepack).
struct GoldenCheck {
    private static let tolerance = 0.15  // of the text's largest or the usual logit: CPUs round differently
    private static let closeness = 0.05  // relative error over all
    private static let least = 1e-4

    let manifest: Manifest
    let tokenizer: Tokenizer
    let session: ModelSession

    /// A line of golden.jsonl, as far as it is compared.
    struct Line: Decodable {
        let text: String
        let pair: String?
        let inputIDs: [Int]
        let tokenTypeIDs: [Int]
        let offsets: [[Int]]
        let logits: [Double]

        private enum CodingKeys: String, CodingKey {
            case text, pair, logits
            case inputIDs = "input_ids"
            case tokenTypeIDs = "token_type_ids"
            case offsets = "offsets_utf16"
        }

        init(from decoder: Decoder) throws {
            let line = try decoder.container(keyedBy: CodingKeys.self)
            text = try line.decode(String.self, forKey: .text)
            pair = try line.decodeIfPresent(String.self, forKey: .pair)
            inputIDs = try line.decode([Int].self, forKey: .inputIDs)
            tokenTypeIDs = try line.decode([Int].self, forKey: .tokenTypeIDs)
            offsets = try line.decode([[Int]].self, forKey: .offsets)
            let row = try? line.decode([Double].self, forKey: .logits)
            logits = try row ?? line.decode([[Double]].self, forKey: .logits).flatMap { $0 }
        }
    }

    static func lines(_ data: Data) throws -> [Line] {
        do {
            return try data.split(separator: UInt8(ascii: "\n")).map { try JSONDecoder().decode(Line.self, from: $0) }
        } catch {
            throw BundleError("golden.jsonl has a line that is no golden vector; copy the bundle's file again")
        }
    }

    /// How many of these came out; none where the logits of all together are too far off.
    func passed(_ lines: [Line]) async throws -> Int {
        let expected = lines.flatMap(\.logits)
        let size = expected.reduce(0) { $0 + $1 * $1 }
        let usual = (size / Double(max(1, expected.count))).squareRoot()
        var (passed, wrong) = (0, 0.0)
        for line in lines {
            guard let logits = try await run(line), logits.count == line.logits.count else { continue }
            let differences = zip(logits, line.logits).map { abs(Double($0) - $1) }
            wrong += differences.reduce(0) { $0 + $1 * $1 }
            let largest = line.logits.reduce(usual) { max($0, abs($1)) }
            if differences.allSatisfy({ $0 <= max(Self.tolerance * largest, Self.least) }) { passed += 1 }
        }
        return (wrong / max(size, Self.least)).squareRoot() <= Self.closeness ? passed : 0
    }

    /// The logits; none where the tokens are others.
    private func run(_ line: Line) async throws -> [Float]? {
        let whole = manifest.windows != nil
        let encoding = tokenizer.encode(line.text, pair: line.pair, maxLength: manifest.maxLength, whole: whole)
        let offsets = encoding.offsetsUTF16.map { [$0.lowerBound, $0.upperBound] }
        guard encoding.inputIDs == line.inputIDs, encoding.tokenTypeIDs == line.tokenTypeIDs, offsets == line.offsets else {
            return nil
        }
        return try await session.logits(encoding, manifest)
    }
}
