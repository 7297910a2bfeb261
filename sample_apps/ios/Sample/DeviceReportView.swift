// Started with the argument `device-report`, the app measures its model and writes Documents/device-report.json, for
// `edgepack gate --device-report`, instead of showing its screen; then it ends. golden.jsonl has to be in Documents: the
// lines that copy it there and the report back are in the project's README.
import EdgepackCore
import SwiftUI

struct DeviceReportView: View {
    static let isWanted = CommandLine.arguments.contains("device-report")

    var body: some View {
        ProgressView("Measuring the model")
            .padding()
            .task {
                do {
                    let report = try await Inference().deviceReport()
                    print("\(report.goldensPassed) of \(report.goldens) golden vectors came out")
                    exit(0)
                } catch {
                    print(error.localizedDescription)
                    exit(1)
                }
            }
    }
}

extension Inference {
    /// Measures the model and writes the report, with the golden vectors that were copied to Documents.
    func deviceReport() async throws -> DeviceReport {
        let documents = try FileManager.default.url(
            for: .documentDirectory, in: .userDomainMask, appropriateFor: nil, create: true)
        guard let goldens = try? Data(contentsOf: documents.appendingPathComponent("golden.jsonl")) else {
            throw BundleError("golden.jsonl is not in Documents; copy the bundle's there first")
        }
        let report = try await deviceReport { _ in goldens }
        try report.json().write(to: documents.appendingPathComponent("device-report.json"), options: .atomic)
        return report
    }

    /// The figures of the model that came with the app or was fetched; `goldens`: those of the runtime whose bundle it is of
    /// where that is a fallback, else of nil.
    func deviceReport(goldens: @Sendable (String?) throws -> Data) async throws -> DeviceReport {
        let (files, model) = try await bundle { _ in }
        let runtime = files.manifest.runtime.name
        let vectors = try goldens(Settings.fallbacks.contains(runtime) ? runtime : nil)
        let benchmark = try DeviceBenchmark(files, runtimes: linkedRuntimes(), facts: PhoneFacts())
        return try await benchmark.measure(model, goldens: vectors)
    }
}

private struct PhoneFacts: DeviceFacts {
    /// As `iPhone17,1`.
    var device: String {
        var system = utsname()
        uname(&system)
        return withUnsafeBytes(of: &system.machine) { String(decoding: $0.prefix { $0 != 0 }, as: UTF8.self) }
    }

    var os: String { "iOS \(ProcessInfo.processInfo.operatingSystemVersionString)" }

    var app: String {
        let version = Bundle.main.object(forInfoDictionaryKey: "CFBundleShortVersionString") as? String
        return [Bundle.main.bundleIdentifier, version].compactMap { $0 }.joined(separator: " ")
    }

    func thermal() -> Thermal {
        #if canImport(Darwin)
        switch ProcessInfo.processInfo.thermalState {
        case .nominal: return .nominal
        case .fair: return .fair
        case .serious: return .serious
        case .critical: return .critical
        @unknown default: return .unknown
        }
        #else
        return .unknown
        #endif
    }
}
