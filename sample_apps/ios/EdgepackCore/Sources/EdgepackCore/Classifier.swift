// A bundle, ready to use: its tokenizer, its model in a runtime, and what it decides. Whoever makes one does so off the
// main thread: loading reads and hashes files and warms the model up.
import Foundation

/// A model that a runtime has loaded.
public protocol ModelSession: Sendable {
    /// Logits for one text, all in one: a row of labels, or for token classification a row for each token and padding.
    func logits(_ inputs: ModelInputs) async throws -> [Float]
}

extension ModelSession {
    /// The model's logits, of a long text those of its windows together.
    func logits(_ encoding: Encoding, _ manifest: Manifest) async throws -> [Float] {
        let count = encoding.inputIDs.count
        guard let windows = manifest.windows, count > manifest.maxLength else {
            return try await logits(ModelInputs(encoding, manifest))
        }
        let spans = try Windows.spans(encoding.sequences, maxLength: manifest.maxLength, overlap: windows.overlap)
        let columns = manifest.labels.count
        var found = [[Float]]()
        for span in spans {
            let piece = encoding.window(spans, span)
            let logits = try await logits(ModelInputs(piece, manifest))
            let wanted = windows.combine == .inner ? piece.inputIDs.count * columns : columns
            guard logits.count >= wanted else {
                throw BundleError("the model gave other numbers than its manifest says; install the app again")
            }
            found.append(logits)
        }
        return Windows.combined(found, spans, count: count, columns: columns, by: windows.combine)
    }
}

/// A runtime; the app has an implementation for each that it links.
public protocol ModelRuntime: Sendable {
    /// As in a manifest's `runtime`.
    var name: String { get }
    /// As the library, or the system that it is part of, says it.
    var version: String { get }
    /// Why it runs nothing here, whatever its version; nil where it does.
    var obstacle: String? { get }
    func load(_ model: URL, _ manifest: Manifest) async throws -> ModelSession
    /// The same, by way of what is kept of the model.
    func load(_ model: URL, _ manifest: Manifest, _ cache: ModelCache) async throws -> ModelSession
}

extension ModelRuntime {
    public var obstacle: String? { nil }

    public func load(_ model: URL, _ manifest: Manifest, _ cache: ModelCache) async throws -> ModelSession {
        try await load(model, manifest)
    }

    /// The version of a runtime that is part of the system.
    public var systemVersion: String {
        let system = ProcessInfo.processInfo.operatingSystemVersion
        return "\(system.majorVersion).\(system.minorVersion)"
    }
}

/// Compares the numbers of two versions, one after the other; one that is not there is 0.
func isOlder(_ version: String, than other: String) -> Bool {
    func numbers(_ text: String) -> [Int] {
        text.split(whereSeparator: { !("0"..."9").contains($0) }).compactMap { Int($0) }
    }
    let (first, second) = (numbers(version), numbers(other))
    for place in 0..<max(first.count, second.count) {
        let (a, b) = (place < first.count ? first[place] : 0, place < second.count ? second[place] : 0)
        if a != b { return a < b }
    }
    return false
}

extension Manifest {
    /// The runtime that the model is for, where the app has it, and in a version that is new enough.
    func runtime(among runtimes: [ModelRuntime]) throws -> ModelRuntime {
        let name = runtime.name
        guard let found = runtimes.first(where: { $0.name == name }) else {
            throw BundleError("the model is for \(name), which this app does not have; update the app", .unsupported)
        }
        if let oldest = runtime.minVersion, isOlder(found.version, than: oldest) {
            let (needed, owner) = oldest.hasPrefix("iOS") ? (oldest, "device") : ("\(name) \(oldest)", "app")
            throw BundleError(
                "the model needs \(needed), this \(owner) has \(found.version); update the \(owner)", .unsupported)
        }
        if let obstacle = found.obstacle { throw BundleError(obstacle, .unsupported) }
        return found
    }
}

/// What a model is fed for one text.
public struct ModelInputs: Sendable {
    public let inputIDs: [Int64]
    public let tokenTypeIDs: [Int64]
    public let attentionMask: [Int64]
    /// Without padding.
    public let tokenCount: Int

    /// Padded where the model's inputs have a fixed length.
    public init(_ encoding: Encoding, _ manifest: Manifest) {
        self.init(encoding.inputIDs, encoding.tokenTypeIDs, manifest)
    }

    init(_ ids: [Int], _ typeIDs: [Int], _ manifest: Manifest) {
        tokenCount = ids.count
        let length = manifest.inputs.first?.sizes.dropFirst().first ?? nil
        let padding = max(0, (length ?? 0) - tokenCount)
        let zeros = [Int64](repeating: 0, count: padding)
        inputIDs = ids.map(Int64.init) + [Int64](repeating: Int64(manifest.padding.id), count: padding)
        tokenTypeIDs = typeIDs.map(Int64.init) + zeros
        attentionMask = [Int64](repeating: 1, count: tokenCount) + zeros
    }

    /// The values of a model's input by its name.
    public func values(named name: String) throws -> [Int64] {
        switch name {
        case "input_ids": return inputIDs
        case "token_type_ids": return tokenTypeIDs
        case "attention_mask": return attentionMask
        default: throw BundleError("the model wants an input \(name), which this app does not have", .unsupported)
        }
    }
}

/// What a model said of a text.
public struct Answer: Equatable, Sendable {
    public enum Content: Equatable, Sendable {
        case labels([LabelProbability])
        /// The labels of a text that has a set of them, perhaps none.
        case labelSet([LabelProbability])
        /// A number, which the manifest's one label names.
        case score(Double)
        case entities([Entity])
        /// Texts in the order that they suit a query, the best first.
        case ranked([RankedText])
    }

    public let content: Content
    /// Whether the first of the labels is the answer, and not a guess.
    public var isSure = true
    public let tokenCount: Int
    /// Tokenizing, running and deciding.
    public let milliseconds: Double
}

public struct Classifier: Sendable {
    public let manifest: Manifest
    private let tokenizer: Tokenizer
    private let session: ModelSession
    /// Vectors of the texts that were searched last; none where the model does not embed.
    public let vectors: KeptVectors?
    private let marks: [Mark]  // of labels of words
    private let chain: TagChain?  // of these

    /// Loads the model that is at `model` and runs it once; `cache` keeps what a runtime makes of it, and the folder
    /// `vectors`, which is for this alone, those of the texts that are searched, in this form.
    public init(
        _ files: BundleFiles, model: URL, runtimes: [ModelRuntime], cache: ModelCache? = nil, vectors: URL? = nil,
        form: VectorForm = .float32
    ) async throws {
        manifest = files.manifest
        self.vectors = KeptVectors(manifest, vectors, form)
        tokenizer = try files.tokenizer()
        let scheme = manifest.tagScheme ?? .bio
        marks = manifest.task == .tokenClassification ? try manifest.labels.map { try Mark($0, scheme) } : []
        chain = try files.manifest.chain.map { try TagChain($0, count: files.manifest.labels.count) }
        let runtime = try manifest.runtime(among: runtimes)
        if let cache {
            session = try await runtime.load(model, manifest, cache)
        } else {
            session = try await runtime.load(model, manifest)
        }
        if manifest.vector != nil {
            _ = try await rank("a", [])
        } else {
            _ = try await answer("a", pair: manifest.pair ? "a" : nil)
        }
    }

    public func answer(_ text: String, pair: String? = nil) async throws -> Answer {
        if manifest.vector != nil {
            throw BundleError("the model embeds texts and gives no answer; rank some", .unsupported)
        }
        var answer = try await timed { runs in
            let (encoding, logits) = try await runs.run(text, pair)
            return try decide(text, encoding, logits)
        }
        if case .labels(let found) = answer.content {
            answer.isSure = EdgepackCore.isSure(found, minConfidence: manifest.minConfidence)
        }
        return answer
    }

    /// The texts in the order that they suit a query: by vectors, which are computed once for a text and kept, or by a
    /// model that scores pairs, which runs once for each text.
    public func rank(_ query: String, _ texts: [String]) async throws -> Answer {
        guard manifest.ranksTexts else {
            throw BundleError("the model neither embeds texts nor scores pairs; it cannot rank", .unsupported)
        }
        return try await timed { runs in
            guard let vectors else {
                var scores = [Double]()
                for text in texts { scores.append(try await score(query, text, runs)) }
                return .ranked(rankedTexts(texts, scores))
            }
            let prompts = manifest.vector
            let asked = try await vector(behind(prompts?.queryPrompt, query), runs)
            let found =
                texts.isEmpty
                ? [] : try await vectors.of(texts) { try await vector(behind(prompts?.textPrompt, $0), runs) }
            return .ranked(rankedTexts(texts, found.map { cosine(asked, $0) }))
        }
    }

    private func score(_ query: String, _ text: String, _ runs: Runs) async throws -> Double {
        let (encoding, logits) = try await runs.run(query, text)
        guard case .score(let score) = try decide(query, encoding, logits) else { return 0 }
        return score
    }

    private func vector(_ text: String, _ runs: Runs) async throws -> [Float] {
        let found = try await runs.run(text, nil).logits
        guard found.count == manifest.vector?.size, found.allSatisfy(\.isFinite) else {
            throw BundleError("the model gave other numbers than its manifest says; install the app again")
        }
        return found
    }

    /// Runs of the model for one answer.
    private final class Runs {
        let classifier: Classifier
        var tokenCount = 0

        init(_ classifier: Classifier) { self.classifier = classifier }

        func run(_ text: String, _ pair: String?) async throws -> (encoding: Encoding, logits: [Float]) {
            let (manifest, whole) = (classifier.manifest, classifier.manifest.windows != nil)
            let encoding = classifier.tokenizer.encode(text, pair: pair, maxLength: manifest.maxLength, whole: whole)
            tokenCount += encoding.inputIDs.count
            return (encoding, try await classifier.session.logits(encoding, manifest))
        }
    }

    private func timed(_ answer: (Runs) async throws -> Answer.Content) async throws -> Answer {
        let (clock, runs) = (ContinuousClock(), Runs(self))
        let start = clock.now
        let content = try await answer(runs)
        return Answer(
            content: content, tokenCount: runs.tokenCount, milliseconds: EdgepackCore.milliseconds(clock.now - start))
    }

    /// What judges labels of one's own; none where the model judges no entailment.
    public var entailment: Entailment? { Entailment(manifest) }

    /// Which of the labels a text is of, by a model that judges entailment; it runs once for each.
    public func judge(_ text: String, _ labels: [String], severalTrue: Bool) async throws -> Answer {
        guard let entailment, entailment.canJudge(labels.count, severalTrue: severalTrue) else {
            throw BundleError("the model cannot judge \(labels.count) labels; give two or more, of which one is true")
        }
        return try await timed { runs in
            var rows = [[Float]]()
            for label in labels {
                let (encoding, logits) = try await runs.run(text, Entailment.hypothesis(label))
                _ = try decide(text, encoding, logits)  // as many numbers as labels, all finite
                rows.append(logits)
            }
            return .labels(entailment.judged(rows, labels, severalTrue: severalTrue))
        }
    }

    private func decide(_ text: String, _ encoding: Encoding, _ logits: [Float]) throws -> Answer.Content {
        let isOfTokens = manifest.task == .tokenClassification
        let columns = manifest.labels.count
        let wanted = isOfTokens ? encoding.inputIDs.count : 1
        guard logits.count % columns == 0, isOfTokens ? logits.count >= wanted * columns : logits.count == columns,
            logits.allSatisfy(\.isFinite)
        else { throw BundleError("the model gave other numbers than its manifest says; install the app again") }
        let rows = (0..<wanted).map { Array(logits[$0 * columns..<($0 + 1) * columns]) }
        let temperature = manifest.temperature ?? 1
        if let thresholds = manifest.thresholds, manifest.problem == .labelSets {
            return .labelSet(labelSet(rows[0], manifest.labels, thresholds: thresholds))
        }
        if manifest.problem == .score { return .score(scoreOf(rows[0][0], manifest.activation)) }
        guard isOfTokens else { return .labels(ranked(rows[0], manifest.labels, temperature: temperature)) }
        let words = tokenizer.words(text, encoding)
        let firsts = words.map { rows[$0.firstToken] }
        return .entities(entities(words, tags(firsts, marks, temperature: temperature, chain: chain)))
    }
}
