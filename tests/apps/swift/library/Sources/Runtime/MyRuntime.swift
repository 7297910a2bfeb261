// Gives the logits that golden.jsonl has for the same ids, zeros for others, after a while, and says where it was called and
// with how many others.
import EdgepackCore
import Foundation

public struct MyRuntime: ModelRuntime {
    public let name = "onnxruntime"
    public let version = "999"

    public init() { say("made on the main thread: \(Thread.isMainThread)") }

    public func load(_ model: URL, _ manifest: Manifest) throws -> ModelSession {
        let folder = model.deletingLastPathComponent().deletingLastPathComponent()
        let lines = try String(contentsOf: folder.appendingPathComponent("golden.jsonl"), encoding: .utf8)
        let goldens = try lines.split(separator: "\n").map { try JSONDecoder().decode(Golden.self, from: Data($0.utf8)) }
        let known = Dictionary(goldens.map { ($0.input_ids, $0.logits) }, uniquingKeysWith: { first, _ in first })
        return Session(known: known, count: manifest.labels.count)
    }
}

private func say(_ line: String) { FileHandle.standardError.write(Data("\(line)\n".utf8)) }

private struct Golden: Decodable {
    let input_ids: [Int64]
    let logits: [Float]
}

private actor Session: ModelSession {
    private let known: [[Int64]: [Float]]
    private let count: Int
    private var running = 0

    init(known: [[Int64]: [Float]], count: Int) {
        self.known = known
        self.count = count
    }

    func logits(_ inputs: ModelInputs) async throws -> [Float] {
        say("run on the main thread: \(Thread.isMainThread)")
        running += 1
        if running > 1 { say("several texts at once") }
        await Task.detached { try? await Task.sleep(for: .milliseconds(300)) }.value  // no runtime ends early
        running -= 1
        return known[inputs.inputIDs] ?? [Float](repeating: 0, count: count)
    }
}
