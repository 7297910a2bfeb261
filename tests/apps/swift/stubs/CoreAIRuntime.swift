// Core AI's surface as far as the sample app uses it, after Apple's documentation; no behaviour. `import CoreAI` gives an app
// two modules, this and CoreAIDelegates: the documentation's "preciseIdentifier" of each name says which one has it, and
// coreai-symbols.txt has those that the app calls.
import Foundation

/// As Swift 6.2 has it.
public struct Span<Element> {
    public var count: Int { fatalError() }
    public subscript(_ position: Int) -> Element { fatalError() }
}

public struct NDArray {
    public enum ScalarType { case float16, float32, int32 }

    public struct View<Element: BitwiseCopyable>: ~Copyable {
        public func withUnsafePointer<R, E: Error>(
            _ body: (UnsafePointer<Element>, Span<Int>, Span<Int>) throws(E) -> R
        ) throws(E) -> R { fatalError() }
    }

    public init<Scalar: BitwiseCopyable>(scalars: some Sequence<Scalar>, shape: [Int]) { fatalError() }
    public var scalarType: ScalarType { fatalError() }
    public func view<T: BitwiseCopyable>(as type: T.Type = T.self) -> View<T> { fatalError() }
}

/// `~Copyable` there; Swift 6.0 cannot read a property of an optional one.
public struct InferenceValue {
    public var ndArray: NDArray? { fatalError() }
}

public struct InferenceFunction: Sendable {
    public struct MutableViews: ~Copyable {
        public init() {}
    }

    public struct Outputs: ~Copyable {
        public mutating func remove(_ outputName: String) -> InferenceValue? { fatalError() }
    }

    public func run(
        inputs: [String: NDArray], states: consuming MutableViews = MutableViews(),
        outputViews: consuming MutableViews = MutableViews()
    ) async throws -> Outputs { fatalError() }
}

public struct AIModel: Sendable {}
