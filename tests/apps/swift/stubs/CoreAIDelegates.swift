// What of Core AI chooses where a model runs; see CoreAIRuntime.swift.
import CoreAIRuntime
import Foundation

public struct SpecializationOptions: Sendable {
    public static var `default`: SpecializationOptions { fatalError() }
    public static var cpuOnly: SpecializationOptions { fatalError() }
    public var expectFrequentReshapes: Bool {
        get { fatalError() }
        set { fatalError() }
    }
}

extension AIModel {
    public init(contentsOf modelURL: URL, options: SpecializationOptions = .default) async throws { fatalError() }
    public func loadFunction(named functionName: String) throws -> InferenceFunction? { fatalError() }
}
