package dev.edgepack.core

/**
 * The word that is being read: its UTF-16 units, where each came from, and its running hashes.
 *
 * A word of more than [limit] code points is unknown whatever it says, so only its ends are kept.
 */
internal class WordBuffer(private val limit: Int) {
    var chars = CharArray(INITIAL)
        private set

    /** `hashes[i]` is the polynomial hash of the first `i` units. */
    var hashes = IntArray(INITIAL + 1)
        private set

    /** For each unit the UTF-16 index of the code point in the text that it came from. */
    var sources = IntArray(INITIAL)
        private set

    /** UTF-16 units kept. */
    var length = 0
        private set
    private var points = 0
    var firstSource = 0
        private set
    var lastSource = 0
        private set

    val isEmpty: Boolean get() = points == 0
    val isTooLong: Boolean get() = points > limit

    fun append(point: Int, source: Int) {
        if (points++ == 0) firstSource = source
        lastSource = source
        if (points > limit) return
        if (length + 2 > chars.size) grow()
        if (point < Character.MIN_SUPPLEMENTARY_CODE_POINT) {
            unit(point.toChar(), source)
        } else {
            unit(Character.highSurrogate(point), source)
            unit(Character.lowSurrogate(point), source)
        }
    }

    fun clear() {
        length = 0
        points = 0
    }

    private fun unit(char: Char, source: Int) {
        chars[length] = char
        sources[length] = source
        hashes[length + 1] = hashes[length] * Vocabulary.BASE + char.code
        length++
    }

    private fun grow() {
        chars = chars.copyOf(length * 2)
        sources = sources.copyOf(length * 2)
        hashes = hashes.copyOf(length * 2 + 1)
    }

    private companion object {
        const val INITIAL = 256
    }
}
