// What packaging fills in.

enum Settings {
    static let title = "edgepack sample"
    /// The folder that the model is fetched from; empty where it came with the app.
    static let downloadURL = ""
}
