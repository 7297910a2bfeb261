// swift-tools-version: 6.0
// Another project: the example of EdgepackCore's README, and the iOS app's work without its screen.
import PackageDescription

let core: [Target.Dependency] = [.product(name: "EdgepackCore", package: "EdgepackCore"), "Runtime"]
let package = Package(
    name: "library",
    platforms: [.macOS(.v14)],
    dependencies: [.package(path: "EdgepackCore")],
    targets: [
        .target(name: "Runtime", dependencies: [.product(name: "EdgepackCore", package: "EdgepackCore")]),
        .executableTarget(name: "Example", dependencies: core),
        // On Linux Swift 6.0's library of Observation names a function that no library has, and never calls it
        .executableTarget(
            name: "Screen", dependencies: core,
            linkerSettings: [.unsafeFlags(["-Xlinker", "--allow-shlib-undefined"], .when(platforms: [.linux]))]),
    ]
)
