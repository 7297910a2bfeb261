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

    /** Which stretch between spaces each token belongs to, from 0, or [NO_WORD]; after [numberWords] which word. */
    var words = IntArray(INITIAL)
        private set
    private var marks = BooleanArray(INITIAL)

    /** Adds a token; [mark] says that it is a punctuation mark, [stretch] is [NO_WORD] where it is nothing. */
    fun add(id: Int, start: Int, end: Int, stretch: Int, mark: Boolean = false) {
        if (size == ids.size) grow()
        ids[size] = id
        starts[size] = start
        ends[size] = end
        words[size] = stretch
        marks[size++] = mark || stretch == NO_WORD
    }

    /** Keeps the first [count] tokens. */
    fun cut(count: Int) {
        size = minOf(size, count)
    }

    /**
     * Turns stretches into words as token classification saw them: each stretch is one, without the punctuation marks
     * at its ends, which are words of their own. A token of nothing belongs to the word that it stands in, if any.
     */
    fun numberWords() {
        var word = 0
        var from = 0
        while (from < size) {
            val to = endOfStretch(from)
            var first = from
            while (first < to && marks[first]) {
                if (words[first] != NO_WORD) words[first] = word++
                first++
            }
            var last = to
            while (last > first && marks[last - 1]) last--
            if (first < last) words.fill(word++, first, last)
            for (i in last until to) if (words[i] != NO_WORD) words[i] = word++
            from = to
        }
    }

    private fun endOfStretch(from: Int): Int {
        var stretch = NO_WORD
        var to = from
        while (to < size && (stretch == NO_WORD || words[to] == NO_WORD || words[to] == stretch)) {
            stretch = maxOf(stretch, words[to++])
        }
        return to
    }

    private fun grow() {
        ids = ids.copyOf(size * 2)
        starts = starts.copyOf(size * 2)
        ends = ends.copyOf(size * 2)
        words = words.copyOf(size * 2)
        marks = marks.copyOf(size * 2)
    }

    companion object {
        /** For a token of spaces only, all of them left out of its offsets. */
        const val NO_WORD = -1
        private const val INITIAL = 64
    }
}
