// Core ML, which is part of iOS. A model package is compiled on the device when it is first loaded.
#if canImport(CoreML)
import CoreML
import EdgepackCore
import Foundation

struct CoreMLRuntime: ModelRuntime {
    let name = "coreml"
    var version: String { systemVersion }

    func load(_ model: URL, _ manifest: Manifest) throws -> ModelSession {
        do {
            let compiled = try MLModel.compileModel(at: model)
            defer { try? FileManager.default.removeItem(at: compiled) }
            return CoreMLSession(model: try MLModel(contentsOf: compiled), manifest: manifest)
        } catch {
            throw BundleError(
                "Core ML cannot load the model (\(error.localizedDescription)); install the app again")
        }
    }

    func load(_ model: URL, _ manifest: Manifest, _ cache: ModelCache) throws -> ModelSession {
        let kept = cache.open(
            manifest, version,
            open: { CoreMLSession(model: try MLModel(contentsOf: $0), manifest: manifest) },
            make: { place in
                try FileManager.default.moveItem(at: try MLModel.compileModel(at: model), to: place)
                return nil
            })
        return try kept ?? load(model, manifest)
    }
}

/// Predictions may be made by several threads at once; nothing else here changes.
private final class CoreMLSession: ModelSession, @unchecked Sendable {
    private let model: MLModel
    private let manifest: Manifest

    init(model: MLModel, manifest: Manifest) {
        self.model = model
        self.manifest = manifest
    }

    func logits(_ fed: ModelInputs) throws -> [Float] {
        var features = [String: Any]()
        for input in manifest.inputs {
            let numbers = try fed.values(named: input.name)
            // Core ML has no int64
            let array = try MLMultiArray(shape: [1, NSNumber(value: numbers.count)], dataType: .int32)
            for (index, number) in numbers.enumerated() {
                array[index] = NSNumber(value: Int32(truncatingIfNeeded: number))
            }
            features[input.name] = array
        }
        let output = manifest.outputs[0].name
        let found = try model.prediction(from: MLDictionaryFeatureProvider(dictionary: features))
        guard let logits = found.featureValue(for: output)?.multiArrayValue else {
            throw BundleError("the model has no output \(output); install the app again")
        }
        return (0..<logits.count).map { logits[$0].floatValue }
    }
}
#endif
