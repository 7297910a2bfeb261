// The part of Accessibility's surface that the sample app uses, as a declaration without behaviour, after Apple's
// documentation.
public enum AccessibilityNotification {
    public struct Announcement: Sendable {
        public init(_ announcement: String) {}
        public func post() {}
    }
}
