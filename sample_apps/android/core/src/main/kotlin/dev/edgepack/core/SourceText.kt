package dev.edgepack.core

/** The text that is being read, as UTF-16 units; its array is used again, so reading a text allocates nothing. */
internal class SourceText {
    var chars = CharArray(INITIAL)
        private set
    var length = 0
        private set

    /** Takes in [text] instead of the one before. */
    fun load(text: String) {
        length = text.length
        if (chars.size < length) chars = CharArray(maxOf(length, chars.size * 2))
        text.toCharArray(chars, 0, 0, length)
    }

    /** The code point at [at]; half a surrogate pair alone counts as U+FFFD, as in every conversion to UTF-8. */
    fun codePoint(at: Int): Int {
        val first = chars[at]
        if (!first.isSurrogate()) return first.code
        return if (isPair(at)) Character.toCodePoint(first, chars[at + 1]) else REPLACEMENT
    }

    /** The index behind the code point at [at]. */
    fun next(at: Int): Int = if (isPair(at)) at + 2 else at + 1

    /** The index of the code point that ends at [end], which is not 0. */
    fun before(end: Int): Int = if (end > 1 && isPair(end - 2)) end - 2 else end - 1

    private fun isPair(at: Int): Boolean =
        chars[at].isHighSurrogate() && at + 1 < length && chars[at + 1].isLowSurrogate()

    private companion object {
        const val INITIAL = 512
        const val REPLACEMENT = 0xFFFD
    }
}
