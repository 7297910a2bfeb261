// Reads edgepack.json, the bundle's manifest: what the model is for, and size and sha256 of each file.
import Foundation

public struct Manifest: Decodable, Equatable, Sendable {
    public enum Task: String, Decodable, Sendable {
        case textClassification = "text-classification"
        case tokenClassification = "token-classification"
        case embedding = "feature-extraction"
    }

    public enum Problem: String, Decodable, Sendable {
        case labelSets = "multi_label_classification"
        case score = "regression"
    }

    /// What makes the one logit a score; none: it is the score.
    public enum Activation: String, Decodable, Sendable {
        case sigmoid
    }

    /// What a text is turned into.
    public struct Vector: Decodable, Equatable, Sendable {
        /// How many numbers.
        public let size: Int
        /// What stands before a search's query; none: nothing.
        public let queryPrompt: String?
        /// What stands before its texts.
        public let textPrompt: String?

        private enum CodingKeys: String, CodingKey {
            case size
            case queryPrompt = "query_prompt"
            case textPrompt = "text_prompt"
        }
    }

    public struct File: Decodable, Equatable, Sendable {
        public let path: String
        public let bytes: Int
        public let sha256: String
        public let shipped: Bool
    }

    /// An input or output; a dimension that the runtime leaves open has a name and no size.
    public struct Tensor: Decodable, Equatable, Sendable {
        public let name: String
        public let sizes: [Int?]

        private enum CodingKeys: String, CodingKey { case name, shape }

        private struct Dimension: Decodable {
            let size: Int?

            init(from decoder: Decoder) throws {
                let container = try decoder.singleValueContainer()
                size = try? container.decode(Int.self)
                if size == nil { _ = try container.decode(String.self) }
            }
        }

        public init(from decoder: Decoder) throws {
            let container = try decoder.container(keyedBy: CodingKeys.self)
            name = try container.decode(String.self, forKey: .name)
            sizes = try container.decode([Dimension].self, forKey: .shape).map(\.size)
        }
    }

    public struct Padding: Decodable, Equatable, Sendable {
        public let id: Int
    }

    public struct Runtime: Decodable, Equatable, Sendable {
        public let name: String
        /// The oldest that runs the model: `1.16`, `iOS 18`.
        public let minVersion: String?

        private enum CodingKeys: String, CodingKey {
            case name
            case minVersion = "min_version"
        }
    }

    public struct Metric: Decodable, Equatable, Sendable {
        public let name: String
        public let value: Double
        public let n: Int
    }

    public let task: Task
    public let pair: Bool
    public let labels: [String]
    public let maxLength: Int
    /// How longer texts are read whole; none: they are cut.
    public let windows: Windows?
    public let padding: Padding
    public let inputs: [Tensor]
    public let outputs: [Tensor]
    public let target: String
    public let runtime: Runtime
    public let files: [File]
    public let shippedBytes: Int
    public let metrics: [String: Metric]
    /// What labels of words mean as tags; none: BIO.
    public let tagScheme: TagScheme?
    /// What decides the tags of a text's words together; none: each word is decided by itself.
    public let chain: Chain?
    /// What logits are divided by before they become probabilities; none: 1.
    public let temperature: Double?
    /// The probability below which the model is not sure; none: it always is.
    public let minConfidence: Double?
    /// None: a text, or a word, has one label.
    public let problem: Problem?
    /// Of label sets, the probability from which on each label is answered.
    public let thresholds: [Double]?
    /// Of a score.
    public let activation: Activation?
    /// Of texts that are embedded.
    public let vector: Vector?

    /// Whether it puts texts in the order that they suit a query: it embeds, or scores pairs.
    public var ranksTexts: Bool { vector != nil || (problem == .score && pair) }

    public var tokenizer: File { files.first { $0.path == Self.tokenizerName }! }  // `read` made sure
    /// The model: one file, or the files of a folder.
    public var modelFiles: [File] { files.filter { $0.shipped && $0.path != Self.tokenizerName } }

    static let schema = 1
    private static let mostNumbers = 65_536  // of a vector
    static let tokenizerName = "tokenizer.bin"

    private enum CodingKeys: String, CodingKey {
        case task, pair, labels, padding, inputs, outputs, target, runtime, files, metrics
        case temperature, problem, thresholds, activation, windows, vector, chain
        case tagScheme = "tag_scheme"
        case minConfidence = "min_confidence"
        case maxLength = "max_length"
        case shippedBytes = "shipped_bytes"
    }

    /// From the bytes of edgepack.json.
    public static func read(_ data: Data) throws -> Manifest {
        struct Version: Decodable { let schema: Int }
        let manifest: Manifest
        do {
            let schema = try JSONDecoder().decode(Version.self, from: data).schema
            guard schema == Self.schema else {
                throw BundleError(
                    "edgepack.json has schema \(schema), this app reads \(Self.schema); update the app", .unsupported)
            }
            manifest = try JSONDecoder().decode(Manifest.self, from: data)
        } catch let error as DecodingError {
            throw BundleError("edgepack.json is not a manifest (\(error.place)); install the app again")
        }
        try manifest.check()
        return manifest
    }

    private func check() throws {
        let shipped = files.filter(\.shipped)
        guard labels.isEmpty == (task == .embedding), maxLength > 0, !inputs.isEmpty, !outputs.isEmpty else {
            throw BundleError("edgepack.json names no labels, inputs, outputs or maximum length; install the app again")
        }
        guard (vector != nil) == (task == .embedding), 1...Self.mostNumbers ~= vector?.size ?? 1 else {
            throw BundleError("edgepack.json names no vectors, or too many numbers of them; install the app again")
        }
        guard task != .embedding || (!pair && windows == nil && problem == nil) else {
            throw BundleError("edgepack.json has vectors of pairs, windows or labels; update the app", .unsupported)
        }
        guard temperature.map({ $0 > 0 && $0.isFinite }) ?? true else {
            throw BundleError("edgepack.json has a temperature that is no positive number; install the app again")
        }
        if problem == .score, task != .textClassification || labels.count != 1 {
            throw BundleError(
                "edgepack.json has a score that is not of a text, or more than one; install the app again")
        }
        if let windows {
            guard 0...maxLength / 2 ~= windows.overlap, (windows.combine == .inner) == (task == .tokenClassification)
            else { throw BundleError("edgepack.json has windows that cannot be; install the app again") }
        }
        if let chain {
            guard task == .tokenClassification else {
                throw BundleError("edgepack.json has a chain of tags and none of words; install the app again")
            }
            _ = try TagChain(chain, count: labels.count)
        }
        guard minConfidence.map({ $0 > 0 && $0 < 1 }) ?? true else {
            throw BundleError("edgepack.json has a min_confidence that is not above 0 and below 1; install the app again")
        }
        if problem == .labelSets {
            guard task == .textClassification, let thresholds, thresholds.count == labels.count,
                thresholds.allSatisfy({ $0 > 0 && $0 < 1 })
            else {
                throw BundleError(
                    "edgepack.json names no threshold above 0 and below 1 for each label; install the app again")
            }
        }
        guard shipped.contains(where: { $0.path == Self.tokenizerName }), shipped.count > 1 else {
            throw BundleError("edgepack.json does not name a model and a tokenizer.bin; install the app again")
        }
        let hexadecimal = Set("0123456789abcdef")
        for file in shipped {
            let isInside = !file.path.hasPrefix("/") && !file.path.split(separator: "/").contains("..")
            guard isInside, file.bytes >= 0, file.sha256.count == 64, file.sha256.allSatisfy(hexadecimal.contains)
            else {
                throw BundleError("edgepack.json has a damaged record of \(file.path); install the app again")
            }
        }
    }
}

extension DecodingError {
    /// The key that is missing or wrong.
    fileprivate var place: String {
        switch self {
        case .keyNotFound(let key, let context):
            return (context.codingPath + [key]).map(\.stringValue).joined(separator: ".")
        case .typeMismatch(_, let context), .valueNotFound(_, let context), .dataCorrupted(let context):
            return context.codingPath.isEmpty
                ? "the document" : context.codingPath.map(\.stringValue).joined(separator: ".")
        @unknown default: return "the document"
        }
    }
}
