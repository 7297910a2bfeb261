// What packaging fills in.
import EdgepackCore

enum Settings {
    static let title = "edgepack sample"
    /// The folder that the model is fetched from; empty where it came with the app.
    static let downloadURL = ""
    /// Folders below the app's assets with bundles for older systems, the newest first.
    static let fallbacks: [String] = []
    /// How vectors of searched texts are kept.
    static let vectorForm = VectorForm.float32
}
