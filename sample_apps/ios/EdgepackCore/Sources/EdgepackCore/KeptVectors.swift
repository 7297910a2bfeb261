// The vectors of a list of texts, so that the model runs once for each.
import Foundation

/// In memory, and in a file for the next start: SHA-256 of the rest, in hexadecimal, and a property list of the texts and
/// their vectors. A file that is cut or altered counts as none, and so does one of vectors of another length; on a full
/// disk they are in memory alone.
public final class KeptVectors: @unchecked Sendable {  // `lock` guards what changes
    private struct Record: Codable {
        var texts = [String]()
        var vectors = [[Float]]()
    }

    private let lock = NSLock()
    private let file: URL?
    private var record: Record
    private static let letters = 64

    init(_ file: URL?, size: Int) {
        self.file = file
        let found = file.flatMap(Self.read) ?? Record()
        let fits = found.texts.count == found.vectors.count && found.vectors.allSatisfy { $0.count == size }
        record = fits ? found : Record()
    }

    /// Those of a manifest's model, in a folder that is for this alone: what another model made is deleted.
    convenience init?(_ manifest: Manifest, _ folder: URL?) {
        guard let size = manifest.vector?.size else { return nil }
        let name = manifest.modelFiles.map { String($0.sha256.prefix(16)) }.joined(separator: "-").prefix(100)
        let file = folder?.appendingPathComponent("\(name).vectors")
        for other in (folder.flatMap { try? FileManager.default.contentsOfDirectory(atPath: $0.path) }) ?? []
        where other != file?.lastPathComponent {
            try? FileManager.default.removeItem(at: folder!.appendingPathComponent(other))
        }
        self.init(file, size: size)
    }

    /// The texts, in order; none at first.
    public var texts: [String] { lock.withLock { record.texts } }

    /// The vectors of the texts, of those that are not kept by `embed`; what is then kept are these texts alone.
    func of(_ texts: [String], _ embed: (String) throws -> [Float]) rethrows -> [[Float]] {
        let before = lock.withLock { record }
        var known = [String: [Float]](zip(before.texts, before.vectors)) { first, _ in first }
        for text in texts where known[text] == nil { known[text] = try embed(text) }
        let kept = Record(texts: texts, vectors: texts.map { known[$0]! })
        lock.withLock { record = kept }
        if texts != before.texts { write(kept) }
        return kept.vectors
    }

    private func write(_ record: Record) {
        guard let file, let data = try? PropertyListEncoder.binary.encode(record) else { return }
        var sha = Sha256()
        sha.update(data)
        let folder = file.deletingLastPathComponent()
        try? FileManager.default.createDirectory(at: folder, withIntermediateDirectories: true)
        try? (Data(sha.finish().utf8) + data).write(to: file, options: .atomic)
    }

    private static func read(_ file: URL) -> Record? {
        guard let whole = try? Data(contentsOf: file), whole.count > letters else { return nil }
        var sha = Sha256()
        sha.update(whole.dropFirst(letters))
        guard Data(sha.finish().utf8) == whole.prefix(letters) else { return nil }
        return try? PropertyListDecoder().decode(Record.self, from: Data(whole.dropFirst(letters)))
    }
}

extension PropertyListEncoder {
    fileprivate static var binary: PropertyListEncoder {
        let encoder = PropertyListEncoder()
        encoder.outputFormat = .binary
        return encoder
    }
}
