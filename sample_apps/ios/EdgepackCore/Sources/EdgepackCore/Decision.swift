// From logits to what people read: probabilities of labels, or entities in the text.
import Foundation

/// Probabilities of a row of logits at a manifest's temperature; safe where they are large.
public func softmax(_ logits: [Float], temperature: Double = 1) -> [Double] {
    probabilities(logits.map(Double.init), temperature: temperature)
}

/// The same of logits in double precision.
private func probabilities(_ logits: [Double], temperature: Double) -> [Double] {
    guard let largest = logits.max() else { return [] }
    let powers = logits.map { exp(($0 - largest) / temperature) }
    let sum = powers.reduce(0, +)
    return powers.map { $0 / sum }
}

public struct LabelProbability: Equatable, Sendable {
    public let label: String
    public let probability: Double
}

/// Labels with their probabilities, the most probable first; equal ones in the model's order.
public func ranked(_ logits: [Float], _ labels: [String], temperature: Double = 1) -> [LabelProbability] {
    let probabilities = softmax(logits, temperature: temperature)
    let found = zip(labels, probabilities).map { LabelProbability(label: $0, probability: $1) }
    let order = found.indices.sorted { first, second in
        let (left, right) = (found[first].probability, found[second].probability)
        return left == right ? first < second : left > right
    }
    return order.map { found[$0] }
}

/// Whether the most probable label is probable enough to be the answer; without a least confidence it always is.
public func isSure(_ ranked: [LabelProbability], minConfidence: Double?) -> Bool {
    guard let minConfidence, let best = ranked.first else { return true }
    return best.probability >= minConfidence
}

/// The probability of a label that is a question of its own.
public func sigmoid(_ logit: Float) -> Double {
    1 / (1 + exp(-Double(logit)))
}

/// The score that a logit is, by a manifest's activation.
public func scoreOf(_ logit: Float, _ activation: Manifest.Activation?) -> Double {
    activation == .sigmoid ? sigmoid(logit) : Double(logit)
}

/// The labels of a set: each whose probability is at its threshold or above, the most probable first.
public func labelSet(_ logits: [Float], _ labels: [String], thresholds: [Double]) -> [LabelProbability] {
    let found = zip(labels, zip(logits, thresholds)).compactMap { label, given -> LabelProbability? in
        let probability = sigmoid(given.0)
        return probability >= given.1 ? LabelProbability(label: label, probability: probability) : nil
    }
    return found.sorted { $0.probability > $1.probability }
}

/// A word as token classification sees it; its first token alone carries its label.
public struct Word: Equatable, Sendable {
    public let firstToken: Int
    public let range: Range<Int>  // code points
}

public struct Entity: Equatable, Sendable {
    public let type: String
    public fileprivate(set) var range: Range<Int>  // code points
    /// As probable as its least probable word.
    public fileprivate(set) var probability: Double
}

/// What labels mean as tags of words; docs/bundle.md of edgepack has them, "Words and entities".
public enum TagScheme: String, Decodable, Sendable {
    case bio = "BIO"
    case iob1 = "IOB1"
    case io = "IO"
    case iobes = "IOBES"
    case bilou = "BILOU"
    case types, plain
}

/// What a tag says of its word: the entity's type, none outside; whether it begins or ends one by itself.
public struct Mark: Equatable, Sendable {
    public let kind: String?
    public let begins: Bool
    public let ends: Bool

    private static let outside = Mark(kind: nil, begins: false, ends: false)
    private static let beginning = Set("BSU")
    private static let ending = Set("ESLU")

    private init(kind: String?, begins: Bool, ends: Bool) {
        (self.kind, self.begins, self.ends) = (kind, begins, ends)
    }

    /// Of a label by its scheme.
    public init(_ label: String, _ scheme: TagScheme) throws {
        let tag = label.trimmingCharacters(in: .whitespacesAndNewlines)
        if scheme == .plain {
            self.init(kind: label, begins: true, ends: true)
        } else if tag == "O" || tag == "o" {
            self = Mark.outside
        } else if scheme == .types {
            self.init(kind: label, begins: false, ends: false)
        } else {
            try self.init(prefixed: tag, scheme)
        }
    }

    private init(prefixed tag: String, _ scheme: TagScheme) throws {
        let scalars = Array(tag.unicodeScalars)
        let prefix = scalars.first.map { String($0).uppercased() } ?? ""
        let isAlone = scalars.count == 1 && String(scalars[0]) == prefix
        let isJoined = scalars.count > 2 && (scalars[1] == "-" || scalars[1] == "_")
        guard prefix.count == 1, "BIESULM".contains(prefix), isAlone || isJoined else {
            throw BundleError("label \(tag) is no tag of \(scheme.rawValue); install the app again")
        }
        var kind = String.UnicodeScalarView()
        kind.append(contentsOf: scalars.dropFirst(2))
        let trimmed = String(kind).trimmingCharacters(in: .whitespacesAndNewlines)
        let letter = Character(prefix)
        self.init(kind: trimmed, begins: Mark.beginning.contains(letter), ends: Mark.ending.contains(letter))
    }
}

/// The decided tag of a word.
public struct Tag: Equatable, Sendable {
    public let mark: Mark
    public let probability: Double
}

/// The most probable tags of a text's words by their first tokens' logits: by a chain of all words together, else of
/// each word by itself.
func tags(_ rows: [[Float]], _ marks: [Mark], temperature: Double, chain: TagChain?) -> [Tag] {
    let logits = chain?.read(rows) ?? rows.map { $0.map(Double.init) }
    return logits.map { row in
        let shares = probabilities(row, temperature: temperature)
        let best = shares.indices.max { shares[$0] < shares[$1] } ?? 0
        return Tag(mark: marks[best], probability: shares[best])
    }
}

/// Entities of tagged words. A word continues the one before if both have a type in common, its tag begins none by
/// itself, and the one before ends none. Of plain tags each word is one.
public func entities(_ words: [Word], _ tags: [Tag]) -> [Entity] {
    var found = [Entity]()
    var before: Mark?
    for (word, tag) in zip(words, tags) {
        defer { before = tag.mark }
        guard let kind = tag.mark.kind else { continue }
        if let before, before.kind == kind, !before.ends, !tag.mark.begins, let last = found.last {
            found[found.count - 1].range = last.range.lowerBound..<word.range.upperBound
            found[found.count - 1].probability = min(last.probability, tag.probability)
        } else {
            found.append(Entity(type: kind, range: word.range, probability: tag.probability))
        }
    }
    return found
}
