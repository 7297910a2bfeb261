// The screen: a text to type, what the model makes of it, how long it took, and what the model is. All sizes are text
// styles and all colours the system's, so that Dynamic Type and dark mode work by themselves.
import Accessibility
import EdgepackCore
import SwiftUI

struct ContentView: View {
    @State private var model = ScreenModel()

    var body: some View {
        NavigationStack {
            content.navigationTitle(Settings.title)
        }
        .task {
            model.announce = { AccessibilityNotification.Announcement($0).post() }
            await model.load()
        }
    }

    @ViewBuilder private var content: some View {
        switch model.state {
        case .loading:
            ProgressView("Loading the model")
        case .fetching(let share):
            ProgressView("Fetching the model", value: share).padding()
        case .failed(let message):
            FailureView(message: message) { Task { await model.load() } }
        case .ready(let classifier):
            ReadyView(model: model, manifest: classifier.manifest)
        }
    }
}

/// What went wrong, and a way to try again.
struct FailureView: View {
    let message: String
    let retry: @MainActor () -> Void

    var body: some View {
        ContentUnavailableView {
            Label("The model cannot be used", systemImage: "exclamationmark.triangle")
        } description: {
            Text(message)
        } actions: {
            Button("Try again", action: retry)
        }
    }
}

struct ReadyView: View {
    @Bindable var model: ScreenModel
    let manifest: Manifest

    var body: some View {
        Form {
            let ranks = model.isRanking(manifest)
            Section(ranks ? "Search" : "Text") {
                TextField(ranks ? "Type what to search for" : "Type a text", text: $model.text, axis: .vertical)
                    .lineLimit(2...8)
                    .accessibilityLabel(ranks ? "Search" : "Text")
                if manifest.pair, !model.sortsText, !ranks {
                    TextField("Type the second text", text: $model.pair, axis: .vertical)
                        .lineLimit(2...8)
                        .accessibilityLabel("Second text")
                }
            }
            if let entailment = Entailment(manifest) { OwnLabelsView(model: model, entailment: entailment) }
            if manifest.ranksTexts { ListView(model: model, manifest: manifest) }
            if let problem = model.problem {
                Section { Label(problem, systemImage: "exclamationmark.triangle") }
            }
            if let answer = model.answer {
                Section("Result") { ResultView(answer: answer, text: model.answeredText) }
                Section { SpeedView(answer: answer) }
            }
            Section("Model") { FactsView(manifest: manifest) }
        }
    }
}

/// Labels of the user's own, for a model that judges entailment.
struct OwnLabelsView: View {
    @Bindable var model: ScreenModel
    let entailment: Entailment

    var body: some View {
        Section {
            Toggle("Sort one text into labels of my own", isOn: $model.sortsText)
            if model.sortsText {
                TextField("Labels, one on a line", text: $model.labels, axis: .vertical)
                    .lineLimit(3...10)
                    .accessibilityLabel("Labels, one on a line")
                if entailment.judgesAlone { Toggle("Several may be true", isOn: $model.severalTrue) }
            }
        }
    }
}

/// Texts of the user's own, for a model that ranks them.
struct ListView: View {
    @Bindable var model: ScreenModel
    let manifest: Manifest

    var body: some View {
        Section {
            if manifest.vector == nil { Toggle("Rank several texts", isOn: $model.ranksTexts) }
            if model.isRanking(manifest) {
                TextField("Sentences to search, one on a line", text: $model.listed, axis: .vertical)
                    .lineLimit(3...12)
                    .accessibilityLabel("Sentences to search, one on a line")
            }
        }
    }
}

/// How long one run took, tokenizing included.
struct SpeedView: View {
    let answer: Answer

    var body: some View {
        let time = answer.milliseconds.formatted(.number.precision(.fractionLength(1)))
        LabeledContent("Time", value: localized("\(time) ms for \(answer.tokenCount.formatted()) tokens"))
    }
}

/// What the bundle's manifest says.
struct FactsView: View {
    let manifest: Manifest

    var body: some View {
        LabeledContent("Task", value: manifest.task.rawValue)
        if let vector = manifest.vector {
            LabeledContent("Numbers of a vector", value: vector.size.formatted())
        } else if manifest.activation != nil {
            LabeledContent("Score", value: readable(manifest.labels[0]))
        } else {
            LabeledContent("Labels", value: manifest.labels.count.formatted())
        }
        LabeledContent("Size", value: Int64(manifest.shippedBytes).formatted(.byteCount(style: .file)))
        LabeledContent("Longest text", value: localized("\(manifest.maxLength.formatted()) tokens"))
        LabeledContent("Runtime", value: "\(manifest.runtime.name), \(manifest.target)")
        if let metric = manifest.metrics["artifact"] {
            let value = metric.value.formatted(.number.precision(.fractionLength(4)))
            LabeledContent(readable(metric.name), value: localized("\(value) on \(metric.n.formatted()) examples"))
        }
    }
}
