// Core AI, which is part of iOS 27 on a device, and of no simulator. The system makes a program for the device when a model
// is first loaded, and keeps it until the system is updated.
#if canImport(CoreAI)
import CoreAI
#endif
import EdgepackCore
import Foundation

struct CoreAIRuntime: ModelRuntime {
    let name = "coreai"
    var version: String { systemVersion }

    private static let absent =
        "Core AI is in no simulator, and in no app that Xcode 26 built; run the app on an iPhone or iPad with iOS 27"

    var obstacle: String? {
        #if canImport(CoreAI)
        if #available(iOS 27, *) { return nil }
        #endif
        return Self.absent
    }

    func load(_ model: URL, _ manifest: Manifest) async throws -> ModelSession {
        #if canImport(CoreAI)
        if #available(iOS 27, *) {
            do {
                return try await CoreAISession(model, manifest)
            } catch {
                throw BundleError(
                    "Core AI cannot load the model (\(error.localizedDescription)); install the app again")
            }
        }
        #endif
        throw BundleError(Self.absent, .unsupported)
    }
}

#if canImport(CoreAI)
/// A function may be run by several tasks at once.
@available(iOS 27, *)
private struct CoreAISession: ModelSession {
    private let function: InferenceFunction
    private let manifest: Manifest

    init(_ model: URL, _ manifest: Manifest) async throws {
        // On iOS 27.0 other compute units gave wrong numbers for some models (apple/coreai-torch #115, #116)
        var options = SpecializationOptions.cpuOnly
        options.expectFrequentReshapes = true  // each text has its own length
        guard let main = try await AIModel(contentsOf: model, options: options).loadFunction(named: "main") else {
            throw BundleError("it has no function main")
        }
        function = main
        self.manifest = manifest
    }

    func logits(_ fed: ModelInputs) async throws -> [Float] {
        var arrays = [String: NDArray]()
        for input in manifest.inputs {
            // Core AI has no int64 here
            let numbers = try fed.values(named: input.name).map { Int32(truncatingIfNeeded: $0) }
            arrays[input.name] = NDArray(scalars: numbers, shape: [1, numbers.count])
        }
        let output = manifest.outputs[0].name
        var outputs = try await function.run(inputs: arrays)
        guard let logits = outputs.remove(output)?.ndArray, case .float32 = logits.scalarType else {
            throw BundleError("the model has no output \(output) of float32; install the app again")
        }
        return logits.view(as: Float.self).withUnsafePointer { numbers, shape, strides in
            var places = [0]  // of the numbers, in order; what is between them is padding
            for axis in 0..<shape.count {
                let (size, stride) = (shape[axis], strides[axis])
                places = places.flatMap { place in (0..<size).map { place + $0 * stride } }
            }
            return places.map { numbers[$0] }
        }
    }
}
#endif
