// ONNX Runtime's Objective-C surface as Swift sees it, as far as the sample app uses it: names and types after the headers
// objectivec/include/ort_*.h of ONNX Runtime 1.24, no behaviour.
import Foundation

public func ORTVersion() -> String { fatalError() }

public enum ORTLoggingLevel: Int { case verbose, info, warning, error, fatal }
public enum ORTGraphOptimizationLevel: Int { case none, basic, extended, all }
public enum ORTTensorElementDataType: Int { case undefined, float, int8, uInt8, int32, uInt32, int64 }

open class ORTEnv: NSObject {
    public init(loggingLevel: ORTLoggingLevel) throws {}
}

public final class ORTSessionOptions {  // an NSObject, whose own `init()` the header takes away for one that throws
    public init() throws {}
    public func setIntraOpNumThreads(_ intraOpNumThreads: Int32) throws {}
    public func setGraphOptimizationLevel(_ graphOptimizationLevel: ORTGraphOptimizationLevel) throws {}
    public func setOptimizedModelFilePath(_ optimizedModelFilePath: String) throws {}
    public func addConfigEntry(withKey key: String, value: String) throws {}
}

open class ORTRunOptions: NSObject {}

open class ORTValue: NSObject {
    public init(tensorData: NSMutableData, elementType: ORTTensorElementDataType, shape: [NSNumber]) throws {}
    open func tensorData() throws -> NSMutableData { fatalError() }
}

open class ORTSession: NSObject {
    public init(env: ORTEnv, modelPath: String, sessionOptions: ORTSessionOptions?) throws {}
    open func run(
        withInputs inputs: [String: ORTValue], outputNames: Set<String>, runOptions: ORTRunOptions?
    ) throws -> [String: ORTValue] { fatalError() }
}
