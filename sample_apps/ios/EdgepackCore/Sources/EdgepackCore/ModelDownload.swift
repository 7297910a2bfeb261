// Fetches a file of the bundle once: what arrives is appended to a partial file as it comes, so that a download that
// breaks off goes on where it was (HTTP ranges); a server without ranges sends all of it again. The whole file is
// hashed in pieces, and only a file of the manifest's size and SHA-256 gets its name, by one rename.
import Foundation

#if canImport(FoundationNetworking)
import FoundationNetworking
#endif

public struct ModelDownload: Sendable {
    static let tries = 4
    static let stall: TimeInterval = 20

    public let file: Manifest.File
    public let source: URL
    public let folder: URL
    let configuration: URLSessionConfiguration
    let firstWait: Duration

    /// `folder` is where the file will be, under its hash and ending; `source` is its address.
    public init(
        _ file: Manifest.File, from source: URL, into folder: URL, configuration: URLSessionConfiguration = .ephemeral,
        firstWait: Duration = .milliseconds(500)
    ) {
        self.file = file
        self.source = source
        self.folder = folder
        self.configuration = configuration
        self.firstWait = firstWait
    }

    /// Where the whole file is, or will be. The ending stays: runtimes look at it.
    public var place: URL {
        let name = file.path.split(separator: "/").last.map(String.init) ?? file.path
        return folder.appendingPathComponent("\(file.sha256)-\(name)")
    }

    var partial: URL { folder.appendingPathComponent("\(file.sha256).part") }

    /// The whole file; fetched if it is not there. `progress` is told the bytes that are there.
    public func run(progress: @escaping @Sendable (Int) -> Void = { _ in }) async throws -> URL {
        if Self.size(of: place) == file.bytes { return place }
        try FileManager.default.createDirectory(at: folder, withIntermediateDirectories: true)
        if Self.size(of: partial) > file.bytes { try? FileManager.default.removeItem(at: partial) }
        let wasResumed = Self.size(of: partial) > 0
        try await fetch(progress)
        if wasResumed, try !isSound() {  // the part may be an older file's
            try FileManager.default.removeItem(at: partial)
            try await fetch(progress)
        }
        guard try isSound() else {
            try FileManager.default.removeItem(at: partial)
            throw BundleError("\(file.path) on the server is not the file that was checked when this app was made")
        }
        guard rename(partial.path, place.path) == 0 else {
            throw BundleError("\(file.path) cannot be kept; free some space and try again", .unreachable)
        }
        #if canImport(Darwin)
        var values = URLResourceValues()
        values.isExcludedFromBackup = true  // it can be fetched again
        var kept = place
        try? kept.setResourceValues(values)
        #endif
        return place
    }

    private func isSound() throws -> Bool {
        try Self.size(of: partial) == file.bytes && Sha256.hash(of: partial) == file.sha256
    }

    /// Fetch what is missing, again where the connection fails.
    private func fetch(_ progress: @escaping @Sendable (Int) -> Void) async throws {
        var wait = firstWait
        for attempt in 1... {
            if Self.size(of: partial) == file.bytes { return }
            do {
                try await Transfer(self, progress).run()
                if Self.size(of: partial) == file.bytes { return }
                throw URLError(.networkConnectionLost)  // the server ended early
            } catch let error where !(error is BundleError || error is CancellationError) {
                guard attempt < Self.tries else {
                    let reason = error.localizedDescription
                    throw BundleError("\(file.path) cannot be fetched (\(reason)); check the connection", .unreachable)
                }
                try await Task.sleep(for: wait)
                wait *= 2
            }
        }
    }

    static func size(of place: URL) -> Int {
        guard let handle = try? FileHandle(forReadingFrom: place) else { return 0 }
        defer { try? handle.close() }
        return Int((try? handle.seekToEnd()) ?? 0)
    }
}

/// One request. The session calls its delegate on one serial queue, which alone touches the state after `run` began.
private final class Transfer: NSObject, URLSessionDataDelegate, @unchecked Sendable {
    private let download: ModelDownload
    private let progress: @Sendable (Int) -> Void
    private var continuation: CheckedContinuation<Void, Error>?
    private var handle: FileHandle?
    private var size = 0
    private var failure: Error?

    init(_ download: ModelDownload, _ progress: @escaping @Sendable (Int) -> Void) {
        self.download = download
        self.progress = progress
    }

    func run() async throws {
        size = ModelDownload.size(of: download.partial)
        var request = URLRequest(url: download.source, cachePolicy: .reloadIgnoringLocalCacheData)
        request.timeoutInterval = ModelDownload.stall
        if size > 0 { request.setValue("bytes=\(size)-", forHTTPHeaderField: "Range") }
        // compressed on the way, the ranges would not be the file's
        request.setValue("identity", forHTTPHeaderField: "Accept-Encoding")
        let session = URLSession(configuration: download.configuration, delegate: self, delegateQueue: nil)
        defer { session.finishTasksAndInvalidate() }
        let task = session.dataTask(with: request)
        try await withTaskCancellationHandler {
            try await withCheckedThrowingContinuation { continuation in
                self.continuation = continuation
                task.resume()
            }
        } onCancel: {
            task.cancel()
        }
        try Task.checkCancellation()
    }

    func urlSession(
        _ session: URLSession, dataTask: URLSessionDataTask, didReceive response: URLResponse,
        completionHandler: @escaping @Sendable (URLSession.ResponseDisposition) -> Void
    ) {
        do {
            try accept(response)
            completionHandler(.allow)
        } catch {
            failure = error
            completionHandler(.cancel)
        }
    }

    /// Look at the answer's status: the rest of the file, all of it, or neither.
    private func accept(_ response: URLResponse) throws {
        let answer = response as? HTTPURLResponse
        let status = answer?.statusCode ?? 0
        let range = answer?.value(forHTTPHeaderField: "Content-Range") ?? ""
        switch status {
        case 206 where size > 0 && range.hasPrefix("bytes \(size)-"): break
        case 200: try restart()
        case 206, 416:
            try restart()
            throw URLError(.badServerResponse)
        case 408, 429, 500...: throw URLError(.badServerResponse)
        default: throw BundleError("\(download.file.path) is not on the server (status \(status))", .unreachable)
        }
        if !FileManager.default.fileExists(atPath: download.partial.path) { try Data().write(to: download.partial) }
        handle = try FileHandle(forWritingTo: download.partial)
        try handle?.seekToEnd()
    }

    private func restart() throws {
        if size > 0 { try FileManager.default.removeItem(at: download.partial) }
        size = 0
    }

    func urlSession(_ session: URLSession, dataTask: URLSessionDataTask, didReceive data: Data) {
        guard failure == nil else { return }
        do {
            guard size + data.count <= download.file.bytes else {
                try handle?.truncate(atOffset: 0)
                throw BundleError("\(download.file.path) on the server is longer than the file that was checked")
            }
            try handle?.write(contentsOf: data)
            size += data.count
            progress(size)
        } catch {
            failure = error
            dataTask.cancel()
        }
    }

    func urlSession(_ session: URLSession, task: URLSessionTask, didCompleteWithError error: Error?) {
        try? handle?.close()
        handle = nil
        if let failed = failure ?? error {
            continuation?.resume(throwing: failed)
        } else {
            continuation?.resume()
        }
        continuation = nil
    }
}
