package dev.edgepack.app

import androidx.lifecycle.SavedStateHandle

/**
 * What the user has typed, where the system keeps it when it ends an app that is not on the screen.
 *
 * All that is kept goes through one transaction of 1 MB, and an app whose state is larger ends with an error. So a text of
 * more than [LONGEST] characters is not kept.
 */
class SavedInput(private val saved: SavedStateHandle) {
    /** Set it on the main thread. */
    var input: Input
        get() = Input(
            text = saved[TEXT] ?: "",
            pair = saved[PAIR] ?: "",
            own = saved[OWN] ?: false,
            labels = saved[LABELS] ?: "",
            several = saved[SEVERAL] ?: false,
            rank = saved[RANK] ?: false,
            list = saved[LIST] ?: "",
        )
        set(value) {
            saved[TEXT] = short(value.text)
            saved[PAIR] = short(value.pair)
            saved[OWN] = value.own
            saved[LABELS] = short(value.labels)
            saved[SEVERAL] = value.several
            saved[RANK] = value.rank
            saved[LIST] = short(value.list)
        }

    private fun short(text: String): String = if (text.length > LONGEST) "" else text

    companion object {
        const val LONGEST: Int = 25_000 // two bytes each, four texts: 200 kB
        private const val TEXT = "text"
        private const val PAIR = "pair"
        private const val OWN = "own"
        private const val LABELS = "labels"
        private const val SEVERAL = "several"
        private const val RANK = "rank"
        private const val LIST = "list"
    }
}
