// Numbers and words as people read them, and as VoiceOver says them.
import EdgepackCore
import Foundation

#if canImport(Darwin)
/// A text of the app's own in the user's language, from Localizable.xcstrings.
func localized(_ text: String.LocalizationValue) -> String { String(localized: text) }
#else
func localized(_ text: String) -> String { text }  // Foundation has no catalogs on other systems
#endif

func percent(_ share: Double) -> String {
    share.formatted(.percent.precision(.fractionLength(1)))
}

/// A name of the manifest's, as of a metric; an underscore reads badly.
func readable(_ name: String) -> String { name.replacingOccurrences(of: "_", with: " ") }

/// The part of a text that a range of code points names; never cut by graphemes, which may hold several words.
func part(of text: String, _ range: Range<Int>) -> String {
    var scalars = String.UnicodeScalarView()
    scalars.append(contentsOf: text.unicodeScalars.dropFirst(range.lowerBound).prefix(range.count))
    return String(scalars)
}

/// What VoiceOver says of an answer to `text`: what stands first on the screen, in a few words.
func spoken(_ answer: Answer, _ text: String) -> String {
    switch answer.content {
    case .labels(let labels):
        guard let best = labels.first else { return "" }
        let (label, share) = (best.label, percent(best.probability))
        return answer.isSure ? "\(label), \(share)" : localized("Not sure. The best guess: \(label), \(share)")
    case .labelSet(let labels):
        return labels.isEmpty ? localized("None of the labels") : labels.map(\.label).joined(separator: ", ")
    case .score(let score):
        let value = score.formatted(.number.precision(.fractionLength(2)))
        return localized("Score \(value)")
    case .ranked(let texts):
        return texts.first.map { localized("Best: \($0.text)") } ?? ""
    case .entities(let entities):
        guard !entities.isEmpty else { return localized("No entity found") }
        return entities.map { "\(part(of: text, $0.range)), \($0.type)" }.joined(separator: "; ")
    }
}
