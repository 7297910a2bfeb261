// What the app's test target uses of Apple's XCTest, from its documentation: Linux's XCTest has no metrics and no attachments.
import Foundation

open class XCTestCase: NSObject {
    public func measure(metrics: [XCTMetric], block: () -> Void) {}
    public func add(_ attachment: XCTAttachment) {}
}

open class XCTAttachment: NSObject {
    public enum Lifetime: Int, Sendable { case keepAlways, deleteOnSuccess }
    public init(data payload: Data, uniformTypeIdentifier identifier: String) {}
    open var name: String?
    open var lifetime = Lifetime.deleteOnSuccess
}

public protocol XCTMetric: NSObjectProtocol {}
open class XCTClockMetric: NSObject, XCTMetric {}
open class XCTCPUMetric: NSObject, XCTMetric {}
open class XCTMemoryMetric: NSObject, XCTMetric {}

public func XCTAssertEqual<T: Equatable>(
    _ first: @autoclosure () throws -> T, _ second: @autoclosure () throws -> T, _ message: @autoclosure () -> String = ""
) {}
public func XCTAssertGreaterThan<T: Comparable>(
    _ first: @autoclosure () throws -> T, _ second: @autoclosure () throws -> T, _ message: @autoclosure () -> String = ""
) {}
public func XCTFail(_ message: String = "") {}
public func XCTUnwrap<T>(_ expression: @autoclosure () throws -> T?, _ message: @autoclosure () -> String = "") throws -> T {
    fatalError(message())
}
