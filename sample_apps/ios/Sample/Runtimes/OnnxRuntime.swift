// ONNX Runtime by its own Swift package. The model is the .onnx file itself, whose packed weights the runtime unpacks when it
// loads it; what it makes of it is kept, a graph and a file of weights, which it maps: they open in a fifth of the time.
#if canImport(OnnxRuntimeBindings)
import EdgepackCore
import Foundation
import OnnxRuntimeBindings

struct OnnxRuntime: ModelRuntime {
    let name = "onnxruntime"
    var version: String { ORTVersion() }

    func load(_ model: URL, _ manifest: Manifest) throws -> ModelSession {
        do {
            return try OnnxSession(model, manifest, .all)
        } catch {
            throw BundleError(
                "ONNX Runtime cannot load the model (\(error.localizedDescription)); install the app again")
        }
    }

    func load(_ model: URL, _ manifest: Manifest, _ cache: ModelCache) throws -> ModelSession {
        let kept = cache.open(
            manifest, version,
            open: { try OnnxSession($0.appendingPathComponent(OnnxSession.graph), manifest, .none) },
            make: { place in
                try FileManager.default.createDirectory(at: place, withIntermediateDirectories: true)
                let graph = place.appendingPathComponent(OnnxSession.graph)
                return try OnnxSession(model, manifest, .extended, savedAs: graph)
            })
        return try kept ?? load(model, manifest)
    }
}

/// A session may be run by several threads at once; nothing else here changes.
private final class OnnxSession: ModelSession, @unchecked Sendable {
    /// The name of a graph that is kept; its weights are beside it.
    static let graph = "model.onnx"
    private static let weights = "weights.bin"
    private let environment: ORTEnv  // lives as long as the session
    private let session: ORTSession
    private let inputs: [String]
    private let output: String

    /// `savedAs`: where the runtime writes what it made of the model at this level of optimization, weights beside it.
    init(
        _ model: URL, _ manifest: Manifest, _ level: ORTGraphOptimizationLevel, savedAs place: URL? = nil
    ) throws {
        inputs = manifest.inputs.map(\.name)
        output = manifest.outputs[0].name
        environment = try ORTEnv(loggingLevel: .warning)
        let options = try ORTSessionOptions()
        try options.setIntraOpNumThreads(1)  // small models lose more by waking threads than they win
        try options.setGraphOptimizationLevel(level)
        if let place {
            try options.setOptimizedModelFilePath(place.path)
            let apart = "session.optimized_model_external_initializers"
            try options.addConfigEntry(withKey: "\(apart)_file_name", value: Self.weights)
            try options.addConfigEntry(withKey: "\(apart)_min_size_in_bytes", value: "1024")
        }
        session = try ORTSession(env: environment, modelPath: model.path, sessionOptions: options)
    }

    func logits(_ fed: ModelInputs) throws -> [Float] {
        var values = [String: ORTValue]()
        for name in inputs {
            let numbers = try fed.values(named: name)
            let data = numbers.withUnsafeBytes { NSMutableData(bytes: $0.baseAddress, length: $0.count) }
            let shape = [NSNumber(value: 1), NSNumber(value: numbers.count)]
            values[name] = try ORTValue(tensorData: data, elementType: .int64, shape: shape)
        }
        guard let logits = try session.run(withInputs: values, outputNames: [output], runOptions: nil)[output]
        else {
            throw BundleError("the model has no output \(output); install the app again")
        }
        let data = try logits.tensorData() as Data
        return data.withUnsafeBytes { Array($0.bindMemory(to: Float.self)) }
    }
}
#endif
