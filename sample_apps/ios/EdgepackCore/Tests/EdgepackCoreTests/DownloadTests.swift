// Downloads against a server of the tests' own: broken off, resumed, wrong, unreachable.
import XCTest

@testable import EdgepackCore

#if canImport(FoundationNetworking)
import FoundationNetworking
#endif

/// What the server does at one request.
private enum Reply {
    case whole([UInt8])
    case part([UInt8], breaksAfter: Int?)  // of these bytes what the range asks for; broken off after so many
    case status(Int)
    case fails
}

private final class Server: URLProtocol {
    nonisolated(unsafe) static var replies = [Reply]()
    nonisolated(unsafe) static var ranges = [String?]()
    static let lock = NSLock()

    override class func canInit(with request: URLRequest) -> Bool { true }
    override class func canonicalRequest(for request: URLRequest) -> URLRequest { request }
    override func stopLoading() {}

    override func startLoading() {
        let range = request.value(forHTTPHeaderField: "Range")
        let reply = Self.lock.withLock { () -> Reply in
            Self.ranges.append(range)
            return Self.replies.isEmpty ? .status(404) : Self.replies.removeFirst()
        }
        let start = range.flatMap { Int($0.dropFirst(6).dropLast()) } ?? 0
        switch reply {
        case .fails: client?.urlProtocol(self, didFailWithError: URLError(.networkConnectionLost))
        case .status(let status): answer(status, [:], [], nil)
        case .whole(let bytes): answer(200, [:], bytes, nil)
        case .part(let bytes, let end):
            let fields = start > 0 ? ["Content-Range": "bytes \(start)-\(bytes.count - 1)/\(bytes.count)"] : [:]
            answer(start > 0 ? 206 : 200, fields, Array(bytes[min(start, bytes.count)...]), end)
        }
    }

    private func answer(_ status: Int, _ fields: [String: String], _ bytes: [UInt8], _ breaksAfter: Int?) {
        let response = HTTPURLResponse(
            url: request.url!, statusCode: status, httpVersion: "HTTP/1.1", headerFields: fields)!
        client?.urlProtocol(self, didReceive: response, cacheStoragePolicy: .notAllowed)
        if !bytes.isEmpty { client?.urlProtocol(self, didLoad: Data(bytes.prefix(breaksAfter ?? bytes.count))) }
        if breaksAfter != nil {
            client?.urlProtocol(self, didFailWithError: URLError(.networkConnectionLost))
        } else {
            client?.urlProtocolDidFinishLoading(self)
        }
    }
}

final class DownloadTests: XCTestCase {
    private let content = (0..<5000).map { UInt8($0 & 0xFF) }

    private func download(_ folder: URL) throws -> ModelDownload {
        let files = ["model.onnx": content, "tokenizer.bin": [UInt8]()]
        let file = try Manifest.read(Data(Fixtures.manifest(files).utf8)).modelFiles[0]
        let configuration = URLSessionConfiguration.ephemeral
        configuration.protocolClasses = [Server.self]
        let source = URL(string: "https://models.test/model.onnx")!
        return ModelDownload(
            file, from: source, into: folder, configuration: configuration, firstWait: .milliseconds(1))
    }

    private func serve(_ replies: [Reply]) {
        Server.replies = replies
        Server.ranges = []
    }

    private func failure(_ download: ModelDownload) async -> BundleError? {
        do {
            _ = try await download.run()
            XCTFail("nothing was thrown")
            return nil
        } catch {
            return error as? BundleError
        }
    }

    func testAWholeFileGetsItsNameAndIsFetchedOnce() async throws {
        let download = try download(try Fixtures.folder(self))
        serve([.whole(content)])
        let place = try await download.run()
        XCTAssertEqual([UInt8](try Data(contentsOf: place)), content)
        XCTAssert(place.lastPathComponent.hasSuffix("-model.onnx"))
        XCTAssertFalse(FileManager.default.fileExists(atPath: download.partial.path))
        _ = try await download.run()
        XCTAssertEqual(Server.ranges, [nil])
    }

    func testWhatBrokeOffGoesOn() async throws {
        let download = try download(try Fixtures.folder(self))
        serve([.part(content, breaksAfter: 1000), .fails, .part(content, breaksAfter: nil)])
        let place = try await download.run()
        XCTAssertEqual([UInt8](try Data(contentsOf: place)), content)
        XCTAssertEqual(Server.ranges, [nil, "bytes=1000-", "bytes=1000-"])
    }

    func testAPartOfAnEarlierRunGoesOn() async throws {
        let download = try download(try Fixtures.folder(self))
        try Data(content[..<4000]).write(to: download.partial)
        serve([.part(content, breaksAfter: nil)])
        _ = try await download.run()
        XCTAssertEqual(Server.ranges, ["bytes=4000-"])
    }

    func testAServerWithoutRangesSendsAllOfItAgain() async throws {
        let download = try download(try Fixtures.folder(self))
        try Data(content[..<4000]).write(to: download.partial)
        serve([.whole(content)])
        let place = try await download.run()
        XCTAssertEqual([UInt8](try Data(contentsOf: place)), content)
    }

    func testAPartOfAnotherFileIsForgotten() async throws {
        let download = try download(try Fixtures.folder(self))
        try Data(repeating: 7, count: 4000).write(to: download.partial)
        serve([.part(content, breaksAfter: nil), .whole(content)])
        let place = try await download.run()
        XCTAssertEqual([UInt8](try Data(contentsOf: place)), content)
        XCTAssertEqual(Server.ranges, ["bytes=4000-", nil])
    }

    func testARangeThatTheServerRefusesStartsAgain() async throws {
        let download = try download(try Fixtures.folder(self))
        try Data(content[..<4000]).write(to: download.partial)
        serve([.status(416), .whole(content)])
        _ = try await download.run()
        XCTAssertEqual(Server.ranges, ["bytes=4000-", nil])
    }

    func testAnotherFileOfTheSameSizeIsRefused() async throws {
        let download = try download(try Fixtures.folder(self))
        serve([.whole([UInt8](repeating: 7, count: content.count))])
        let error = await failure(download)
        XCTAssertEqual(error?.kind, .damaged)
        XCTAssertFalse(FileManager.default.fileExists(atPath: download.place.path))
        XCTAssertFalse(FileManager.default.fileExists(atPath: download.partial.path))
    }

    func testALongerFileIsRefused() async throws {
        let download = try download(try Fixtures.folder(self))
        serve([.whole(content + [1])])
        let error = await failure(download)
        XCTAssert(error?.message.contains("longer") == true)
    }

    func testWhatIsNotThereIsSaidAtOnceAndWhatFailsIsTriedAgain() async throws {
        let download = try download(try Fixtures.folder(self))
        serve([.status(404), .whole(content)])
        let missing = await failure(download)
        XCTAssert(missing?.message.contains("status 404") == true)
        serve([.status(503), .fails, .status(429), .fails, .whole(content)])
        let unreachable = await failure(download)
        XCTAssertEqual(unreachable?.kind, .unreachable)
        XCTAssertEqual(Server.ranges.count, ModelDownload.tries)
    }
}
