// What the screen shows. Reading the bundle and running the model is Inference's, off the main thread.
import EdgepackCore
import Foundation
import Observation

@MainActor
@Observable
final class ScreenModel {
    enum State {
        case loading
        case fetching(Double)  // share of the model that is there
        case ready(Classifier)
        case failed(String)
    }

    private(set) var state = State.loading
    private(set) var answer: Answer?
    /// The text that `answer` is for.
    private(set) var answeredText = ""
    private(set) var problem: String?
    var text = "" { didSet { classifySoon() } }
    var pair = "" { didSet { classifySoon() } }
    /// One text is to be sorted into labels of the user's own.
    var sortsText = false { didSet { classifySoon() } }
    /// These labels, one on a line.
    var labels = "" { didSet { classifySoon() } }
    var severalTrue = false { didSet { classifySoon() } }
    /// Texts are to be put in the order that they suit `text`; a model that embeds does nothing else.
    var ranksTexts = false { didSet { classifySoon() } }
    /// These texts, one on a line.
    var listed = ScreenModel.examples { didSet { classifySoon() } }

    private static let examples = """
        The museum is open until six on Fridays.
        Our train was delayed by two hours.
        She baked a cake for her grandmother.
        The new phone has a better camera.
        Rain is expected over the weekend.
        How do I change my password?
        """
    @ObservationIgnored private let inference = Inference()
    @ObservationIgnored private var running: Task<Void, Never>?
    /// Says an answer to people who do not see it; the screen sets it.
    @ObservationIgnored var announce: @MainActor (String) -> Void = { _ in }
    private static let pause = Duration.milliseconds(150)  // typing goes on meanwhile
    /// From an answer to its announcement, 900 ms after the last key: a screen reader is not interrupted at every one.
    private static let spokenPause = Duration.milliseconds(750)

    /// Load the bundle that is in the app; again after a failure.
    func load() async {
        state = .loading
        do {
            state = .ready(
                try await inference.classifier { [weak self] share in
                    Task { @MainActor in self?.show(share) }
                })
            if case .ready(let classifier) = state, let kept = classifier.vectors?.texts, !kept.isEmpty {
                listed = kept.joined(separator: "\n")
            }
            classifySoon()
        } catch {
            state = .failed(error.localizedDescription)
        }
    }

    private func show(_ share: Double) {
        if case .ready = state { return }
        state = .fetching(share)
    }

    /// Whether a model of this manifest is asked for an order, and not for an answer.
    func isRanking(_ manifest: Manifest) -> Bool {
        manifest.vector != nil || (ranksTexts && manifest.ranksTexts)
    }

    /// What is asked; nothing where labels to choose from, or texts to rank, are missing.
    private func question(_ classifier: Classifier) -> Question? {
        if isRanking(classifier.manifest) {
            let texts = list(in: listed)
            return texts.isEmpty ? nil : .rank(texts)
        }
        guard sortsText, let entailment = classifier.entailment else {
            return .pair(classifier.manifest.pair ? pair : nil)
        }
        let (labels, several) = (list(in: labels), severalTrue && entailment.judgesAlone)
        return entailment.canJudge(labels.count, severalTrue: several) ? .labels(labels, severalTrue: several) : nil
    }

    private func classifySoon() {
        let before = running
        before?.cancel()
        guard case .ready(let classifier) = state else { return }
        let text = text
        let isBlank = text.allSatisfy(\.isWhitespace)
        guard !isBlank, let question = question(classifier) else {
            (answer, answeredText, problem) = (nil, "", isBlank ? nil : need(classifier.manifest))
            if let problem {
                running = Task {
                    await before?.value
                    await say(problem)
                }
            }
            return
        }
        running = Task {
            await before?.value  // the model runs for one text at a time
            try? await Task.sleep(for: Self.pause)
            if Task.isCancelled { return }
            let result = await inference.answer(classifier, text, question)
            if Task.isCancelled { return }
            switch result {
            case .success(let found):
                (answer, answeredText, problem) = (found, text, nil)
                await say(spoken(found, text))
            case .failure(let error):
                (answer, answeredText, problem) = (nil, "", error.localizedDescription)
                await say(error.localizedDescription)
            }
        }
    }

    /// What the user has to write before the model can be asked.
    private func need(_ manifest: Manifest) -> String {
        isRanking(manifest)
            ? localized("Write sentences, one on a line.") : localized("Write labels to choose from, one on a line.")
    }

    /// Announces `words` unless typing goes on.
    private func say(_ words: String) async {
        try? await Task.sleep(for: Self.spokenPause)
        if !Task.isCancelled { announce(words) }
    }
}
