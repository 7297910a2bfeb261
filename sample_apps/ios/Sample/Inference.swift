// The model's work, away from the screen: files are read, hashed and fetched, and the model is loaded, warmed up and run.
//
// An actor, for one reason: its methods never run on the main thread, whatever the project's settings. A `nonisolated`
// function leaves the main actor in Swift 6.0, and stays on it in a project of Swift 6.2 with approachable concurrency; the
// attribute that says so, `@concurrent`, is not in Swift 6.0.
import EdgepackCore
import Foundation

/// What is asked of a text.
enum Question: Sendable {
    case pair(String?)
    case labels([String], severalTrue: Bool)
    case rank([String])
}

actor Inference {
    func answer(
        _ classifier: Classifier, _ text: String, _ question: Question
    ) async -> Result<Answer, Error> {
        do {
            switch question {
            case .pair(let pair):
                return .success(try await classifier.answer(text, pair: pair))
            case .labels(let labels, let severalTrue):
                return .success(try await classifier.judge(text, labels, severalTrue: severalTrue))
            case .rank(let texts):
                return .success(try await classifier.rank(text, texts))
            }
        } catch {
            return .failure(error)
        }
    }

    func classifier(
        _ progress: @escaping @Sendable (Double) -> Void
    ) async throws -> Classifier {
        let (files, model) = try await bundle(progress)
        let caches = try FileManager.default.url(
            for: .cachesDirectory, in: .userDomainMask, appropriateFor: nil, create: true)
        let cache = ModelCache(caches.appendingPathComponent("edgepack"))
        let vectors = files.storage.appendingPathComponent("vectors")
        return try await Classifier(
            files, model: model, runtimes: linkedRuntimes(), cache: cache, vectors: vectors, form: Settings.vectorForm)
    }

    /// The files and the checked model of the app's first bundle that runs here.
    func bundle(_ progress: @escaping @Sendable (Double) -> Void) async throws -> (files: BundleFiles, model: URL) {
        let storage = try FileManager.default.url(
            for: .applicationSupportDirectory, in: .userDomainMask, appropriateFor: nil, create: true
        ).appendingPathComponent("edgepack")
        let assets = Bundle.main.bundleURL.appendingPathComponent("assets")
        let folders = [assets] + Settings.fallbacks.map { assets.appendingPathComponent($0) }
        let files = try BundleFiles.first(of: folders, storage: storage, runtimes: linkedRuntimes())
        return (files, try await place(of: files, progress))
    }

    /// The checked model: the one in the app, or the one that was fetched.
    private func place(
        of files: BundleFiles, _ progress: @escaping @Sendable (Double) -> Void
    ) async throws -> URL {
        guard let folder = URL(string: Settings.downloadURL), !Settings.downloadURL.isEmpty else {
            return try files.shippedModel()
        }
        let file = files.manifest.modelFiles[0]
        let download = ModelDownload(file, from: folder.appendingPathComponent(file.path), into: files.storage)
        return try await download.run { progress(Double($0) / Double(max(file.bytes, 1))) }
    }
}
