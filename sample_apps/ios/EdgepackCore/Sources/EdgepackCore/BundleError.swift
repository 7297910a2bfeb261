// What can go wrong with a bundle, as one kind of error whose message is written for the person at the screen.
import Foundation

/// A bundle that is damaged or incomplete, that this app cannot use, or that cannot be fetched.
public struct BundleError: LocalizedError, Equatable {
    public enum Kind: Sendable {
        case damaged, unsupported, unreachable
    }

    public let kind: Kind
    public let message: String

    public init(_ message: String, _ kind: Kind = .damaged) {
        self.kind = kind
        self.message = message
    }

    public var errorDescription: String? { message }
}
