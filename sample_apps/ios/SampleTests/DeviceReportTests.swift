// Runs inside the app, on a phone or in a simulator: a device report for `edgepack gate --device-report`, attached to the
// test's result, and XCTest's own metrics. The bundle's golden vectors are among this target's files, not in the app.
import EdgepackCore
import Foundation
import XCTest

@testable import Sample

final class DeviceReportTests: XCTestCase {
    func testTheGoldensComeOutAndTheReportIsAttached() async throws {
        let report = try await Inference().deviceReport { fallback in
            let name = fallback.map { "golden-\($0)" } ?? "golden"
            let place = Bundle(for: DeviceReportTests.self).url(forResource: name, withExtension: "jsonl")
            return try Data(
                contentsOf: XCTUnwrap(place, "\(name).jsonl is not in SampleTests; copy the bundle's golden.jsonl there"))
        }
        let attachment = XCTAttachment(data: try report.json(), uniformTypeIdentifier: "public.json")
        attachment.name = "device-report.json"
        attachment.lifetime = .keepAlways
        add(attachment)
        XCTAssertGreaterThan(report.goldens, 0)
        XCTAssertEqual(report.goldensPassed, report.goldens)
    }

    /// From the files to a model that is ready: checked, opened, run once.
    func testOpeningTheModel() throws {
        _ = try waited { try await Inference().classifier { _ in } }  // what is made once per installation is made now
        measure(metrics: [XCTClockMetric(), XCTCPUMetric(), XCTMemoryMetric()]) {
            do {
                _ = try waited { try await Inference().classifier { _ in } }
            } catch {
                XCTFail(error.localizedDescription)
            }
        }
    }

    /// What an asynchronous call gives: XCTest measures blocks that are not asynchronous. Nothing in the call may need the
    /// main thread, which waits.
    private func waited<T: Sendable>(_ work: @escaping @Sendable () async throws -> T) throws -> T {
        let (given, done) = (Given<T>(), DispatchSemaphore(value: 0))
        Task.detached {
            do { given.result = .success(try await work()) } catch { given.result = .failure(error) }
            done.signal()
        }
        done.wait()
        return try XCTUnwrap(given.result).get()
    }
}

/// Written before the semaphore's signal, read after it.
private final class Given<T: Sendable>: @unchecked Sendable {
    var result: Result<T, Error>?
}
