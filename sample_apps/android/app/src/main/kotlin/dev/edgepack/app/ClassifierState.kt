package dev.edgepack.app

import dev.edgepack.core.BundleManifest
import dev.edgepack.core.Prediction

/** Where the model is. */
sealed interface ModelState {
    /** On its way; [downloaded] is the share of the download that is there, null if there is none. */
    data class Preparing(val downloaded: Float?) : ModelState

    /** In memory and warmed up, [readyMillis] after the start. */
    data class Ready(val manifest: BundleManifest, val runtime: String, val readyMillis: Long) : ModelState

    /** Not usable; [message] says why and what to do. */
    data class Failed(val message: String) : ModelState
}

/** What the user has typed; [own]: one text is to be sorted into [labels], one on a line, of which [several] may be true. */
data class Input(
    val text: String = "",
    val pair: String = "",
    val own: Boolean = false,
    val labels: String = "",
    val several: Boolean = false,
)

/** What the model said of [input]; [error] where it could not; neither where labels to choose from are missing. */
data class Output(val input: Input, val prediction: Prediction?, val error: String?)
