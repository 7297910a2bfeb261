// Core ML's surface as far as the sample app uses it, after Apple's documentation; no behaviour.
import Foundation

public enum MLMultiArrayDataType: Int { case int32, float32, double }

open class MLMultiArray: NSObject {
    public init(shape: [NSNumber], dataType: MLMultiArrayDataType) throws {}
    public var count: Int { 0 }
    public subscript(_ index: Int) -> NSNumber {
        get { 0 }
        set {}
    }
}

open class MLFeatureValue: NSObject {
    public var multiArrayValue: MLMultiArray? { nil }
}

public protocol MLFeatureProvider {
    func featureValue(for name: String) -> MLFeatureValue?
}

open class MLDictionaryFeatureProvider: NSObject, MLFeatureProvider {
    public init(dictionary: [String: Any]) throws {}
    public func featureValue(for name: String) -> MLFeatureValue? { nil }
}

open class MLModel: NSObject {
    public class func compileModel(at url: URL) throws -> URL { url }
    public init(contentsOf url: URL) throws {}
    public func prediction(from input: MLFeatureProvider) throws -> MLFeatureProvider { input }
}
