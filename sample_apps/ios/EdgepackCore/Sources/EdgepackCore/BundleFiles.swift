// The bundle's files on this device, compared with its manifest before anything reads them: size at each start, SHA-256
// the first time. Which files were hashed is kept in a file of this app, by path and hash; an update of the app, which
// moves it, hashes again. Neither UserDefaults nor time stamps are touched, which Apple wants reasons for.
import Foundation

public struct BundleFiles: Sendable {
    /// Where edgepack.json and the files that ship with the app are.
    public let assets: URL
    /// A folder of the app's own, for a downloaded model and for what was hashed.
    public let storage: URL
    public let manifest: Manifest

    public init(assets: URL, storage: URL) throws {
        self.assets = assets
        self.storage = storage
        guard let data = try? Data(contentsOf: assets.appendingPathComponent("edgepack.json")) else {
            throw BundleError("edgepack.json is missing; install the app again")
        }
        manifest = try Manifest.read(data)
    }

    /// The first of these folders whose bundle runs here; where none does, the error is the first one's.
    public static func first(of folders: [URL], storage: URL, runtimes: [ModelRuntime]) throws -> BundleFiles {
        var problem = BundleError("the app holds no bundle; install it again")
        for (place, folder) in folders.enumerated() {
            let files = try BundleFiles(assets: folder, storage: storage)
            do {
                _ = try files.manifest.runtime(among: runtimes)
                return files
            } catch let error as BundleError where error.kind == .unsupported {
                if place == 0 { problem = error }
            }
        }
        throw problem
    }

    public func tokenizer() throws -> Tokenizer {
        let file = manifest.tokenizer
        let place = assets.appendingPathComponent(file.path)
        try check(file, at: place)
        return try Tokenizer(try Data(contentsOf: place))
    }

    /// The model, if it came with the app: its file, or the folder that its files have in common.
    public func shippedModel() throws -> URL {
        for file in manifest.modelFiles { try check(file, at: assets.appendingPathComponent(file.path)) }
        return modelPlace(below: assets)
    }

    /// Where the model is below a folder.
    public func modelPlace(below folder: URL) -> URL {
        let paths = manifest.modelFiles.map { $0.path.split(separator: "/").map(String.init) }
        guard paths.count > 1 else { return folder.appendingPathComponent(manifest.modelFiles[0].path) }
        let common = paths[0].indices.prefix(while: { place in
            paths.allSatisfy { place < $0.count - 1 && $0[place] == paths[0][place] }
        })
        return folder.appendingPathComponent(paths[0][..<common.endIndex].joined(separator: "/"))
    }

    /// Throws where a file is not the manifest's.
    public func check(_ file: Manifest.File, at place: URL) throws {
        guard let handle = try? FileHandle(forReadingFrom: place) else {
            throw BundleError("\(file.path) is missing; install the app again")
        }
        let size = try handle.seekToEnd()
        try handle.close()
        guard size == UInt64(file.bytes) else {
            throw BundleError("\(file.path) has \(size) bytes, it must have \(file.bytes); install the app again")
        }
        let key = "\(place.path) \(file.sha256)"
        if hashed().contains(key) { return }
        guard try Sha256.hash(of: place) == file.sha256 else {
            throw BundleError(
                "\(file.path) is not the file that was checked when this app was made; install the app again")
        }
        try remember(key)
    }

    private var record: URL { storage.appendingPathComponent("hashed.txt") }

    private func hashed() -> Set<String> {
        Set((try? String(contentsOf: record, encoding: .utf8))?.components(separatedBy: "\n") ?? [])
    }

    private func remember(_ key: String) throws {
        try FileManager.default.createDirectory(at: storage, withIntermediateDirectories: true)
        let still = hashed().filter { FileManager.default.fileExists(atPath: String($0.dropLast(65))) }
        try still.union([key]).sorted().joined(separator: "\n").write(to: record, atomically: true, encoding: .utf8)
    }
}
