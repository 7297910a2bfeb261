// swift-tools-version: 6.0
// Foundation only, so that the tokenizer and all that decides can be tested where there is no Xcode.
import PackageDescription

let package = Package(
    name: "EdgepackCore",
    platforms: [.iOS(.v17), .macOS(.v14)],
    products: [.library(name: "EdgepackCore", targets: ["EdgepackCore"])],
    targets: [
        .target(name: "EdgepackCore"),
        .testTarget(name: "EdgepackCoreTests", dependencies: ["EdgepackCore"]),
    ],
    swiftLanguageModes: [.v6]
)
