// What a runtime makes of a model before it runs it, kept for the next start: ONNX Runtime's unpacked graph and weights, Core
// ML's compiled folder.
import Foundation

/// A folder that is for this alone, as one below the app's caches.
///
/// What is kept has a name that says which model it was made from, by which version of the runtime, and how long it is,
/// since hashing it at each start would take as long as it saves. It is used where all three are true and the runtime
/// opens it, and made again otherwise.
public struct ModelCache: Sendable {
    private let folder: URL

    public init(_ folder: URL) {
        self.folder = folder
    }

    /// What `open` opens of what is kept; else what `make` does, which writes that at the place it is given and opens
    /// the model on the way, or returns nothing: then what it wrote is opened. Nothing where neither works, as on a full
    /// disk: the model is then to be opened without.
    public func open<Opened>(
        _ manifest: Manifest, _ version: String, open: (URL) throws -> Opened, make: (URL) throws -> Opened?
    ) -> Opened? {
        let files = FileManager.default
        let made = "\(key(manifest))-\(version)"
        for kept in (try? files.contentsOfDirectory(at: folder, includingPropertiesForKeys: nil)) ?? [] {
            let isWhole = (try? kept.lastPathComponent == name(made, kept)) ?? false
            if isWhole, let opened = try? open(kept) { return opened }
            try? files.removeItem(at: kept)
        }
        let part = folder.appendingPathComponent("part-\(UUID().uuidString)")
        defer { try? files.removeItem(at: part) }
        do {
            try files.createDirectory(at: folder, withIntermediateDirectories: true)
            let opened = try make(part)
            let place = folder.appendingPathComponent(try name(made, part))
            try? files.moveItem(at: part, to: place)
            return try opened ?? open(place)
        } catch {
            return nil
        }
    }

    private func name(_ made: String, _ place: URL) throws -> String { "\(made)-\(try byteCount(of: place))" }

    private func key(_ manifest: Manifest) -> String {
        var sha = Sha256()
        for file in manifest.modelFiles { sha.update(Data("\(file.path) \(file.sha256)\n".utf8)) }
        return String(sha.finish().prefix(16))
    }

    /// Of a file, or of all files in a folder.
    private func byteCount(of place: URL) throws -> Int {
        let files = FileManager.default
        let inside = (try? files.subpathsOfDirectory(atPath: place.path)) ?? []
        let paths = inside.isEmpty ? [place.path] : inside.map { place.appendingPathComponent($0).path }
        return try paths.map { try files.attributesOfItem(atPath: $0) }
            .filter { $0[.type] as? FileAttributeType == .typeRegular }
            .reduce(0) { $0 + (($1[.size] as? NSNumber)?.intValue ?? 0) }
    }
}
