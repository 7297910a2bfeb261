// The vectors of a list of texts, so that the model runs once for each.
import Foundation

/// How a vector is kept; `edgepack package --vectors` names it. What is left of it is its direction, which is what a
/// cosine compares.
public enum VectorForm: String, CaseIterable, Sendable {
    /// 4 bytes for each number.
    case float32
    /// A byte for each number, as 127ths of the largest.
    case int8
    /// A bit for each number: its sign.
    case binary

    /// What a vector of so many numbers takes.
    func byteCount(_ size: Int) -> Int {
        switch self {
        case .float32: return 4 * size
        case .int8: return size
        case .binary: return (size + 7) / 8
        }
    }

    func packed(_ vector: [Float]) -> Data {
        switch self {
        case .float32:
            return Data(vector.flatMap { value in (0..<4).map { UInt8(truncatingIfNeeded: value.bitPattern >> (8 * $0)) } })
        case .int8:
            let largest = vector.map(abs).max() ?? 0
            return Data(vector.map { largest > 0 ? UInt8(bitPattern: Int8(($0 / largest * 127).rounded())) : 0 })
        case .binary:
            var bits = [UInt8](repeating: 0, count: byteCount(vector.count))
            for (i, value) in vector.enumerated() where value >= 0 { bits[i / 8] |= 1 << UInt8(i % 8) }
            return Data(bits)
        }
    }

    func unpacked(_ data: Data, size: Int) -> [Float] {
        let bytes = [UInt8](data)
        switch self {
        case .float32:
            return (0..<size).map { place in
                let ofOne = bytes[4 * place..<4 * place + 4]
                return Float(bitPattern: ofOne.reversed().reduce(UInt32(0)) { bits, byte in bits << 8 | UInt32(byte) })
            }
        case .int8: return bytes.map { Float(Int8(bitPattern: $0)) }
        case .binary: return (0..<size).map { bytes[$0 / 8] & 1 << UInt8($0 % 8) != 0 ? 1 : -1 }
        }
    }
}

/// In memory, and in a file for the next start: SHA-256 of the rest, in hexadecimal, and a property list of the texts and
/// their vectors. A file that is cut or altered counts as none, and so does one of vectors of another length; on a full
/// disk they are in memory alone.
public final class KeptVectors: @unchecked Sendable {  // `lock` guards what changes
    private struct Record: Codable {
        var texts = [String]()
        var vectors = [Data]()
    }

    private let lock = NSLock()
    private let file: URL?
    private let size: Int
    private let form: VectorForm
    private var record: Record
    private static let letters = 64

    init(_ file: URL?, size: Int, form: VectorForm = .float32) {
        (self.file, self.size, self.form) = (file, size, form)
        let (found, bytes) = (file.flatMap(Self.read) ?? Record(), form.byteCount(size))
        let fits = found.texts.count == found.vectors.count && found.vectors.allSatisfy { $0.count == bytes }
        record = fits ? found : Record()
    }

    /// Those of a manifest's model, in a folder that is for this alone: what another model made is deleted.
    convenience init?(_ manifest: Manifest, _ folder: URL?, _ form: VectorForm) {
        guard let size = manifest.vector?.size else { return nil }
        let name = manifest.modelFiles.map { String($0.sha256.prefix(16)) }.joined(separator: "-").prefix(100)
        let file = folder?.appendingPathComponent("\(name).\(form.rawValue)")
        for other in (folder.flatMap { try? FileManager.default.contentsOfDirectory(atPath: $0.path) }) ?? []
        where other != file?.lastPathComponent {
            try? FileManager.default.removeItem(at: folder!.appendingPathComponent(other))
        }
        self.init(file, size: size, form: form)
    }

    /// The texts, in order; none at first.
    public var texts: [String] { lock.withLock { record.texts } }

    /// The vectors of the texts, of those that are not kept by `embed`; what is then kept are these texts alone.
    func of(_ texts: [String], _ embed: (String) async throws -> [Float]) async rethrows -> [[Float]] {
        let before = lock.withLock { record }
        var known = [String: Data](zip(before.texts, before.vectors)) { first, _ in first }
        for text in texts where known[text] == nil { known[text] = form.packed(try await embed(text)) }
        let kept = Record(texts: texts, vectors: texts.map { known[$0]! })
        lock.withLock { record = kept }
        if texts != before.texts { write(kept) }
        return kept.vectors.map { form.unpacked($0, size: size) }
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
