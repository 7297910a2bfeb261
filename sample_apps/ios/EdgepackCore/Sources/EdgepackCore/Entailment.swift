// Labels of one's own: a model that judges entailment is asked of each label whether the text entails it.
import Foundation

public struct Entailment: Equatable, Sendable {
    private let entailment: Int
    /// What entailment is held against; none where no label is that.
    private let contradiction: Int?

    /// By the names of the labels; none where the model judges no entailment.
    public init?(_ manifest: Manifest) {
        let names = manifest.labels.map { $0.trimmingCharacters(in: .whitespacesAndNewlines).lowercased() }
        guard manifest.task == .textClassification, manifest.pair, manifest.problem == nil, (2...3).contains(names.count),
            names.filter({ $0 == "entailment" }).count == 1, let place = names.firstIndex(of: "entailment")
        else { return nil }
        entailment = place
        contradiction = names.count == 2 ? 1 - place : names.firstIndex(of: "contradiction")
    }

    /// Whether several labels may be true, or there may be one alone.
    public var judgesAlone: Bool { contradiction != nil }

    /// Whether so many labels can be judged.
    public func canJudge(_ count: Int, severalTrue: Bool) -> Bool {
        count > 0 && (contradiction != nil || (count > 1 && !severalTrue))
    }

    /// The labels with their probabilities, the most probable first, by the logits of each label's hypothesis.
    public func judged(_ rows: [[Float]], _ labels: [String], severalTrue: Bool) -> [LabelProbability] {
        guard severalTrue || rows.count == 1 else { return ranked(rows.map { $0[entailment] }, labels) }
        let other = contradiction ?? entailment
        let scores = rows.map { softmax([$0[other], $0[entailment]])[1] }
        let found = zip(labels, scores).map { LabelProbability(label: $0, probability: $1) }
        return found.sorted { $0.probability > $1.probability }
    }

    /// What a text is to entail where it is of a label.
    public static func hypothesis(_ label: String) -> String { "This example is \(label)." }
}
