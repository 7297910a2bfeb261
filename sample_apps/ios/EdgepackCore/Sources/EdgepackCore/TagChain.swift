// Tags of a text's words decided together: the words are a chain with scores of a tag behind another, and each has the
// tag of the largest marginal probability.
//
// The rule step by step: edgepack's docs/bundle.md, "Tags decided together".
import Foundation

extension Manifest {
    /// Scores of a tag behind another; `pairs` are "before behind score", and every other pair has the score `unseen`.
    public struct Chain: Decodable, Equatable, Sendable {
        public let unseen: Double
        public let pairs: [String]
    }
}

/// A manifest's chain, ready to decide.
public struct TagChain: Equatable, Sendable {
    /// Of tags; as a class id a text's begin, where it is before, and a text's end, where it is behind.
    private let count: Int
    /// What pairs multiply a chain's probability by: before, behind.
    private var factors: [[Double]]

    private static let least = 1e-300  // probability whose logarithm is taken for 0's
    private static let shown = 60  // characters of a pair in a message

    /// Of so many tags; `BundleError` where a pair is none, or stands there twice.
    public init(_ chain: Manifest.Chain, count: Int) throws {
        guard chain.unseen.isFinite else {
            throw BundleError("edgepack.json has a chain whose unseen is no finite number; install the app again")
        }
        self.count = count
        factors = Array(repeating: Array(repeating: exp(chain.unseen), count: count + 1), count: count + 1)
        var seen = Set<[Int]>()
        for pair in chain.pairs {
            guard let (before, behind, score) = Self.parts(pair), max(before, behind) <= count,
                seen.insert([before, behind]).inserted
            else {
                throw BundleError(
                    "edgepack.json: chain: \(pair.prefix(Self.shown)) is no pair of \(count) tags and its score, "
                        + "or the second of one pair; install the app again")
            }
            factors[before][behind] = exp(score)
        }
    }

    /// Logits of the tags of one text's words, out of the model's own: the logarithms of their marginal probabilities.
    public func read(_ logits: [[Float]]) -> [[Double]] {
        marginals(logits.map { softmax($0) }).map { row in row.map { log(max($0, Self.least)) } }
    }

    /// By the forward-backward algorithm, each step of which is divided by its sum; `own` are the words' probabilities.
    private func marginals(_ own: [[Double]]) -> [[Double]] {
        var forward = [[Double]]()
        for row in own {
            let last = forward.last
            let before = (0..<count).map { tag in last.map { sum($0) { factors[$0][tag] } } ?? factors[count][tag] }
            forward.append(normal(product(before, row)))
        }
        var backward = (0..<count).map { factors[$0][count] }
        var found = own
        for place in own.indices.reversed() {
            found[place] = normal(product(forward[place], backward))
            let behind = product(backward, own[place])
            backward = normal((0..<count).map { tag in sum(behind) { factors[tag][$0] } })
        }
        return found
    }

    /// Of all tags' values, each times what it weighs.
    private func sum(_ values: [Double], _ weight: (Int) -> Double) -> Double {
        values.indices.reduce(0) { $0 + values[$1] * weight($1) }
    }

    private func product(_ values: [Double], _ others: [Double]) -> [Double] { zip(values, others).map { $0 * $1 } }

    /// The values divided by their sum.
    private func normal(_ values: [Double]) -> [Double] {
        let sum = max(values.reduce(0, +), Self.least)
        return values.map { $0 / sum }
    }

    /// Class ids of up to six digits, and a score of up to four before and behind the point; none of another text.
    private static func parts(_ pair: String) -> (before: Int, behind: Int, score: Double)? {
        let parts = pair.split(separator: " ", omittingEmptySubsequences: false)
        guard parts.count == 3, isNumber(parts[0], most: 6), isNumber(parts[1], most: 6),
            let before = Int(parts[0]), let behind = Int(parts[1])
        else { return nil }
        let size = parts[2].hasPrefix("-") ? parts[2].dropFirst() : parts[2]
        let digits = size.split(separator: ".", omittingEmptySubsequences: false)
        guard digits.count <= 2, digits.allSatisfy({ isNumber($0, most: 4) }), let score = Double(parts[2]) else {
            return nil
        }
        return (before, behind, score)
    }

    private static func isNumber(_ text: Substring, most: Int) -> Bool {
        1...most ~= text.utf8.count && text.utf8.allSatisfy { UInt8(ascii: "0")...UInt8(ascii: "9") ~= $0 }
    }
}
