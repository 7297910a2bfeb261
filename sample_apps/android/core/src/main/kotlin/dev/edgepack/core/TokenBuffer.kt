package dev.edgepack.core

/** Tokens of a text as they are found; grows, and is used again for the next text. */
internal class TokenBuffer {
    var size = 0
        private set
    var ids = IntArray(INITIAL)
        private set

    /** UTF-16 indices into the text. */
    var starts = IntArray(INITIAL)
        private set
    var ends = IntArray(INITIAL)
        private set

    /** Adds a token. */
    fun add(id: Int, start: Int, end: Int) {
        if (size == ids.size) grow()
        ids[size] = id
        starts[size] = start
        ends[size++] = end
    }

    /** Keeps the first [count] tokens. */
    fun cut(count: Int) {
        size = minOf(size, count)
    }

    private fun grow() {
        ids = ids.copyOf(size * 2)
        starts = starts.copyOf(size * 2)
        ends = ends.copyOf(size * 2)
    }

    private companion object {
        const val INITIAL = 64
    }
}
