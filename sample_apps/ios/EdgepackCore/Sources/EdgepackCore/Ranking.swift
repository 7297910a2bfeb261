// Texts in the order that they suit a query, by the cosine of their vectors or by the score of each pair.
import Foundation

public struct RankedText: Equatable, Sendable {
    public let text: String
    public let score: Double
}

/// The best first, equal ones as they were given.
func rankedTexts(_ texts: [String], _ scores: [Double]) -> [RankedText] {
    let order = texts.indices.sorted { scores[$0] == scores[$1] ? $0 < $1 : scores[$0] > scores[$1] }
    return order.map { RankedText(text: texts[$0], score: scores[$0]) }
}

/// A text behind the prompt that its model was trained with, unless it stands there.
func behind(_ prompt: String?, _ text: String) -> String {
    guard let prompt, !text.unicodeScalars.starts(with: prompt.unicodeScalars) else { return text }
    return prompt + text
}

/// The cosine of two vectors; 0 where one has no length.
public func cosine(_ a: [Float], _ b: [Float]) -> Double {
    func dot(_ x: [Float], _ y: [Float]) -> Double { zip(x, y).reduce(0) { $0 + Double($1.0) * Double($1.1) } }
    let lengths = (dot(a, a) * dot(b, b)).squareRoot()
    return lengths > 0 ? dot(a, b) / lengths : 0
}

/// What a person has written into a list, one on a line: each once, without the spaces around it.
public func list(in text: String) -> [String] {
    var found = [String]()
    for line in text.split(whereSeparator: \.isNewline) {
        let entry = line.trimmingCharacters(in: .whitespaces)
        if !entry.isEmpty, !found.contains(entry) { found.append(entry) }
    }
    return found
}
