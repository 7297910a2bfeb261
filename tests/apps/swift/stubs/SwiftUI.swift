// The part of SwiftUI's surface that the sample app uses, as declarations without behaviour, so that the app's own files
// can be type-checked where there is no Xcode. Written after Apple's documentation: a mistake in here is a mistake that the
// check does not see.
@_exported import Foundation
@_exported import Observation

@MainActor public protocol View {
    associatedtype Body: View
    @ViewBuilder var body: Body { get }
}

extension Never: View {
    public var body: Never { fatalError() }
}

extension Optional: View where Wrapped: View {
    public var body: Never { fatalError() }
}

public struct EmptyView: View {
    public nonisolated init() {}
    public var body: Never { fatalError() }
}

public struct TupleView<T>: View {
    public var body: Never { fatalError() }
}

public struct Either<A: View, B: View>: View {
    public var body: Never { fatalError() }
}

@resultBuilder public enum ViewBuilder {
    public static func buildBlock() -> EmptyView { EmptyView() }
    public static func buildBlock<V: View>(_ content: V) -> V { content }
    public static func buildBlock<each V: View>(_ content: repeat each V) -> TupleView<(repeat each V)> { fatalError() }
    public static func buildExpression<V: View>(_ content: V) -> V { content }
    public static func buildIf<V: View>(_ content: V?) -> V? { content }
    public static func buildEither<A: View, B: View>(first: A) -> Either<A, B> { fatalError() }
    public static func buildEither<A: View, B: View>(second: B) -> Either<A, B> { fatalError() }
}

@MainActor public protocol Scene {}

@MainActor public protocol App {
    associatedtype Body: Scene
    @SceneBuilder var body: Body { get }
    init()
}

extension App {
    public static func main() {}
}

@resultBuilder public enum SceneBuilder {
    public static func buildBlock<S: Scene>(_ content: S) -> S { content }
}

public struct WindowGroup<C: View>: Scene {
    public init(@ViewBuilder content: () -> C) {}
}

@propertyWrapper public struct State<Value> {
    public init(wrappedValue: Value) { self.wrappedValue = wrappedValue }
    public var wrappedValue: Value
    public var projectedValue: Binding<Value> { fatalError() }
}

@propertyWrapper public struct Binding<Value> {
    public init(wrappedValue: Value) { self.wrappedValue = wrappedValue }
    public var wrappedValue: Value
}

@dynamicMemberLookup @propertyWrapper public struct Bindable<Value: AnyObject> {
    public init(wrappedValue: Value) { self.wrappedValue = wrappedValue }
    public var wrappedValue: Value
    public var projectedValue: Bindable<Value> { self }
    public subscript<T>(dynamicMember path: ReferenceWritableKeyPath<Value, T>) -> Binding<T> { fatalError() }
}

public struct Color: Hashable, Sendable {
    public static let yellow = Color()
    public func opacity(_ opacity: Double) -> Color { self }
}

public struct Font: Hashable, Sendable {
    public static let body = Font()
    public func bold() -> Font { self }
}

extension AttributedString {
    public var backgroundColor: Color? {
        get { nil }
        set {}
    }
    public var font: Font? {
        get { nil }
        set {}
    }
}

public protocol ShapeStyle {}
public struct HierarchicalShapeStyle: ShapeStyle {}
extension ShapeStyle where Self == HierarchicalShapeStyle {
    public static var secondary: HierarchicalShapeStyle { HierarchicalShapeStyle() }
}

public struct Text: View {
    public init<S: StringProtocol>(_ content: S) {}
    public init(_ content: AttributedString) {}
    public var body: Never { fatalError() }
}

public struct Label: View {
    public init<S: StringProtocol>(_ title: S, systemImage: String) {}
    public var body: Never { fatalError() }
}

public struct LabeledContent: View {
    public init<T: StringProtocol, V: StringProtocol>(_ title: T, value: V) {}
    public var body: Never { fatalError() }
}

public struct Toggle: View {
    public init(_ title: String, isOn: Binding<Bool>) {}
    public var body: Never { fatalError() }
}

public struct ProgressView: View {
    public init<S: StringProtocol>(_ title: S) {}
    public init<S: StringProtocol, V: BinaryFloatingPoint>(_ title: S, value: V?, total: V = 1.0) {}
    public init<V: BinaryFloatingPoint>(value: V?, total: V = 1.0) {}
    public var body: Never { fatalError() }
}

public struct Button: View {
    public init<S: StringProtocol>(_ title: S, action: @escaping @MainActor () -> Void) {}
    public var body: Never { fatalError() }
}

public enum Axis { case horizontal, vertical }

public struct TextField: View {
    public init<S: StringProtocol>(_ title: S, text: Binding<String>, axis: Axis) {}
    public var body: Never { fatalError() }
}

public struct HorizontalAlignment: Sendable {
    public static let leading = HorizontalAlignment()
}

public struct VStack<C: View>: View {
    public init(alignment: HorizontalAlignment, @ViewBuilder content: () -> C) {}
    public var body: Never { fatalError() }
}

public struct Form<C: View>: View {
    public init(@ViewBuilder content: () -> C) {}
    public var body: Never { fatalError() }
}

public struct Section<C: View>: View {
    public init<S: StringProtocol>(_ title: S, @ViewBuilder content: () -> C) {}
    public init(@ViewBuilder content: () -> C) {}
    public var body: Never { fatalError() }
}

public struct NavigationStack<C: View>: View {
    public init(@ViewBuilder root: () -> C) {}
    public var body: Never { fatalError() }
}

public struct ContentUnavailableView<L: View, D: View, A: View>: View {
    public init(@ViewBuilder label: () -> L, @ViewBuilder description: () -> D, @ViewBuilder actions: () -> A) {}
    public var body: Never { fatalError() }
}

public struct ForEach<Data: RandomAccessCollection, ID: Hashable, C: View>: View {
    public init(_ data: Data, id: KeyPath<Data.Element, ID>, @ViewBuilder content: @escaping (Data.Element) -> C) {}
    public var body: Never { fatalError() }
}

public struct AccessibilityChildBehavior: Sendable {
    public static let ignore = AccessibilityChildBehavior()
}

extension View {
    public func navigationTitle<S: StringProtocol>(_ title: S) -> some View { self }
    public func task(_ action: @escaping @Sendable @MainActor () async -> Void) -> some View { self }
    public func padding() -> some View { self }
    public func lineLimit(_ limit: ClosedRange<Int>) -> some View { self }
    public func foregroundStyle<S: ShapeStyle>(_ style: S) -> some View { self }
    public func accessibilityLabel<S: StringProtocol>(_ label: S) -> some View { self }
    public func accessibilityValue<S: StringProtocol>(_ value: S) -> some View { self }
    public func accessibilityElement(children: AccessibilityChildBehavior) -> some View { self }
}
