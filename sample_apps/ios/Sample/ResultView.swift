// The answer: labels with their probabilities, or the text with its entities highlighted and, since colour is not for
// everybody, listed below.
import EdgepackCore
import SwiftUI

struct ResultView: View {
    let answer: Answer
    let text: String
    private static let shownLabels = 5

    var body: some View {
        switch answer.content {
        case .labels(let labels):
            if !answer.isSure { Text("Not sure. The best guesses:") }
            ForEach(labels.prefix(Self.shownLabels), id: \.label) { LabelRow(found: $0) }
        case .labelSet(let labels):
            if labels.isEmpty { Text("None of the labels").foregroundStyle(.secondary) }
            ForEach(labels, id: \.label) { LabelRow(found: $0) }
        case .score(let score):
            LabeledContent("Score", value: score.formatted(.number.precision(.fractionLength(2))))
        case .ranked(let texts):
            ForEach(texts, id: \.text) { found in
                LabeledContent(found.text, value: found.score.formatted(.number.precision(.fractionLength(2))))
            }
        case .entities(let entities):
            Text(highlighted(text, entities)).accessibilityLabel(text)
            if entities.isEmpty { Text("No entity found").foregroundStyle(.secondary) }
            ForEach(Array(entities.enumerated()), id: \.offset) { _, entity in
                LabeledContent(entity.type, value: "\(part(of: text, entity.range)), \(percent(entity.probability))")
            }
        }
    }
}

/// A label, its probability as a number and as a bar.
struct LabelRow: View {
    let found: LabelProbability

    var body: some View {
        VStack(alignment: .leading) {
            LabeledContent(found.label, value: percent(found.probability))
            ProgressView(value: found.probability)
        }
        .accessibilityElement(children: .ignore)
        .accessibilityLabel(found.label)
        .accessibilityValue(percent(found.probability))
    }
}

/// The text with a background behind each entity.
func highlighted(_ text: String, _ entities: [Entity]) -> AttributedString {
    var result = AttributedString()
    var done = 0
    for entity in entities where entity.range.lowerBound >= done {
        result += AttributedString(part(of: text, done..<entity.range.lowerBound))
        var span = AttributedString(part(of: text, entity.range))
        span.backgroundColor = .yellow.opacity(0.35)
        span.font = .body.bold()
        result += span
        done = entity.range.upperBound
    }
    return result + AttributedString(part(of: text, done..<max(done, text.unicodeScalars.count)))
}
