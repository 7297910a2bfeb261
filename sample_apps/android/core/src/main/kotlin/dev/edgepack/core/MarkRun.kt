package dev.edgepack.core

/**
 * A run of combining marks that waits to be put in canonical order.
 *
 * Marks change places and the reference's offsets do not follow them: after sorting, the first mark has the first
 * mark's offset. A mark inside one code point's folding has no offset of its own and takes that of the letter before.
 */
internal class MarkRun {
    var size = 0
        private set
    private var points = IntArray(INITIAL)
    private var ranks = IntArray(INITIAL)
    private var own = BooleanArray(INITIAL)
    private var sources = IntArray(INITIAL)
    private var sourceCount = 0

    /** Adds a mark, or with [point] = [GONE] a place that takes part in the order and vanishes. */
    fun add(point: Int, rank: Int, source: Int, hasOffset: Boolean) {
        if (size == points.size) grow()
        if (hasOffset) sources[sourceCount++] = source
        var at = size++
        while (at > 0 && ranks[at - 1] > rank) { // stable: equal ranks keep their order
            points[at] = points[at - 1]
            ranks[at] = ranks[at - 1]
            own[at] = own[at - 1]
            at--
        }
        points[at] = point
        ranks[at] = rank
        own[at] = hasOffset
    }

    /** Hands the marks over in order, each with its offset, and is empty. [before] is the letter before's offset. */
    inline fun drain(before: Int, letter: (point: Int, source: Int) -> Unit) {
        var source = before
        var taken = 0
        for (i in 0 until size) {
            if (own[i]) source = sources[taken++]
            if (points[i] != GONE) letter(points[i], source)
        }
        size = 0
        sourceCount = 0
    }

    private fun grow() {
        points = points.copyOf(size * 2)
        ranks = ranks.copyOf(size * 2)
        own = own.copyOf(size * 2)
        sources = sources.copyOf(size * 2)
    }

    companion object {
        const val GONE = -1
        private const val INITIAL = 16
    }
}
