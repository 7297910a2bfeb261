// What a phone measured of one model: the file that `edgepack gate --device-report` reads (docs/gate.md of edgepack).
import Foundation

/// How warm a device is, from cool to too warm; unknown where the system does not say.
public enum Thermal: String, Codable, Sendable {
    case nominal, fair, serious, critical, unknown

    /// The worse of two; unknown where one is, unless the other is bad enough by itself.
    func or(_ other: Thermal) -> Thermal {
        let worst: [Thermal] = self == .unknown || other == .unknown
            ? [.critical, .serious, .unknown] : [.critical, .serious, .fair, .nominal]
        return worst.first { $0 == self || $0 == other } ?? .unknown
    }
}

/// Batch 1, one thread, times by the number of tokens; memory is of the whole process.
public struct DeviceReport: Codable, Equatable, Sendable {
    public var schema = 1
    public let device: String
    public let os: String
    public let runtime: String
    public let app: String
    public let created: String
    public let artifactSHA256: String
    public let loadMilliseconds: Double
    public let firstMilliseconds: Double
    public let p50Milliseconds: [Int: Double]
    public let p95Milliseconds: [Int: Double]
    public let runs: Int
    public let peakBytes: Int
    /// Once the model is loaded, before the first run.
    public let residentBytes: Int
    public let thermal: Thermal
    public let goldens: Int
    public let goldensPassed: Int

    private enum CodingKeys: String, CodingKey {
        case schema, device, os, runtime, app, created, runs, thermal, goldens
        case artifactSHA256 = "artifact_sha256"
        case loadMilliseconds = "load_ms"
        case firstMilliseconds = "first_ms"
        case p50Milliseconds = "p50_ms"
        case p95Milliseconds = "p95_ms"
        case peakBytes = "peak_bytes"
        case residentBytes = "resident_bytes"
        case goldensPassed = "goldens_passed"
    }

    /// The report as JSON.
    public func json() throws -> Data {
        let encoder = JSONEncoder()
        encoder.outputFormatting = [.prettyPrinted, .sortedKeys]
        return try encoder.encode(self)
    }
}

extension Manifest {
    private static let folders = ["coreml", "coreai"]  // runtimes whose model is a folder

    /// The model's hash as edgepack names artifacts: the file's; of a folder that of its files' hashes.
    public var artifactSHA256: String {
        guard Self.folders.contains(runtime.name) else { return modelFiles[0].sha256 }
        let records = modelFiles.sorted { $0.path < $1.path }.map { "\"\($0.path)\":\"\($0.sha256)\"" }
        var sha = Sha256()
        sha.update("{\(records.joined(separator: ","))}".utf8)
        return sha.finish()
    }
}
