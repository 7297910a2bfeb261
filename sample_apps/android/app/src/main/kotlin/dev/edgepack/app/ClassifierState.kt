package dev.edgepack.app

import dev.edgepack.core.BundleManifest
import dev.edgepack.core.Prediction
import dev.edgepack.core.readList

/** Where the model is. */
sealed interface ModelState {
    /** On its way; [downloaded] is the share of the download that is there, null if there is none. */
    data class Preparing(val downloaded: Float?) : ModelState

    /** In memory and warmed up, [readyMillis] after the start. */
    data class Ready(val manifest: BundleManifest, val runtime: String, val readyMillis: Long) : ModelState

    /** Not usable; [message] says why and what to do. */
    data class Failed(val message: String) : ModelState
}

/**
 * What the user has typed.
 *
 * @property own whether one text is to be sorted into [labels], one on a line, of which [several] may be true
 * @property rank whether texts are to be put in the order that they suit [text]; a model that embeds does nothing else
 * @property list these texts, one on a line
 */
data class Input(
    val text: String = "",
    val pair: String = "",
    val own: Boolean = false,
    val labels: String = "",
    val several: Boolean = false,
    val rank: Boolean = false,
    val list: String = "",
) {
    /** What is left once the user has cleared it: the choices, and the list that is searched. */
    val cleared: Input get() = Input(own = own, rank = rank, list = list)

    /** The texts that are to be ranked by a model of [manifest]; null where it is asked for something else. */
    fun ranked(manifest: BundleManifest): List<String>? =
        if (manifest.vectorSize != null || (rank && manifest.ranksTexts)) readList(list) else null
}

/** What the model said of [input]; [error] where it could not; neither where labels, or texts to rank, are missing. */
data class Output(val input: Input, val prediction: Prediction?, val error: String?)
