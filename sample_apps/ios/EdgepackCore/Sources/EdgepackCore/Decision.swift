// From logits to what people read: probabilities of labels, or entities in the text.
import Foundation

/// Probabilities of a row of logits at a manifest's temperature; safe where they are large.
public func softmax(_ logits: [Float], temperature: Double = 1) -> [Double] {
    guard let largest = logits.max() else { return [] }
    let powers = logits.map { exp((Double($0) - Double(largest)) / temperature) }
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

/// The probability of a label that is a question of its own.
public func sigmoid(_ logit: Float) -> Double {
    1 / (1 + exp(-Double(logit)))
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

/// Entities by CoNLL's rule: B- begins one, I- goes on where the type is the same and begins one elsewhere.
public func entities(_ words: [Word], _ tags: [LabelProbability]) -> [Entity] {
    var found = [Entity]()
    var isOpen = false
    for (word, tag) in zip(words, tags) {
        guard tag.label != "O" else {
            isOpen = false
            continue
        }
        let type = String(tag.label.dropFirst(2))
        if isOpen, !tag.label.hasPrefix("B"), let last = found.last, last.type == type {
            found[found.count - 1].range = last.range.lowerBound..<word.range.upperBound
            found[found.count - 1].probability = min(last.probability, tag.probability)
        } else {
            found.append(Entity(type: type, range: word.range, probability: tag.probability))
            isOpen = true
        }
    }
    return found
}
