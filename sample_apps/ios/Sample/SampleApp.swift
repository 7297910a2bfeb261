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
            if DeviceReportView.isWanted { DeviceReportView() } else { ContentView() }
        }
    }
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
