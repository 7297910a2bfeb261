// The app: one screen over one bundle.
import EdgepackCore
import SwiftUI

@main
struct SampleApp: App {
    init() {
        // ONNX Runtime 1.29 and newer sends telemetry unless this is set before it loads; nothing here phones home.
        setenv("ORT_DISABLE_TELEMETRY", "1", 1)
    }

    var body: some Scene {
        WindowGroup {
            if isTested { Text("Tests are running") } else if DeviceReportView.isWanted { DeviceReportView() } else { ContentView() }
        }
    }

    /// Whether SampleTests runs in here: it opens the model itself, and a second one would count in its memory.
    private var isTested: Bool { ProcessInfo.processInfo.environment["XCTestConfigurationFilePath"] != nil }
}

/// The runtimes that this app links; the bundle's manifest says which one it needs.
func linkedRuntimes() -> [ModelRuntime] {
    var runtimes = [ModelRuntime]()
    #if canImport(OnnxRuntimeBindings)
    runtimes.append(OnnxRuntime())
    #endif
    #if canImport(CoreML)
    runtimes.append(CoreMLRuntime())
    #endif
    runtimes.append(CoreAIRuntime())
    return runtimes
}
