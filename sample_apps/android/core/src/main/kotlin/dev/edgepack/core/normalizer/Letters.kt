package dev.edgepack.core.normalizer

import dev.edgepack.core.SourceText

/** Code points, each with what it stands for in the text, as UTF-16 indices; grows, and is used again. */
internal class Letters {
    var size = 0
        private set
    var points = IntArray(INITIAL)
        private set
    var starts = IntArray(INITIAL)
        private set
    var ends = IntArray(INITIAL)
        private set

    fun clear() {
        size = 0
    }

    fun add(point: Int, start: Int, end: Int) {
        if (size == points.size) grow(size + 1)
        points[size] = point
        starts[size] = start
        ends[size++] = end
    }

    /** Adds `other[from, to)`. */
    fun add(other: Letters, from: Int, to: Int) {
        grow(size + to - from)
        other.points.copyInto(points, size, from, to)
        other.starts.copyInto(starts, size, from, to)
        other.ends.copyInto(ends, size, from, to)
        size += to - from
    }

    /** Adds [content] in the place of letters of which `other[last]` is the last. */
    fun put(content: IntArray, other: Letters, last: Int) {
        for (point in content) add(point, other.starts[last], other.ends[last])
    }

    /** Takes in a text as it stands. */
    fun load(text: SourceText) {
        size = 0
        grow(text.length)
        var at = 0
        while (at < text.length) {
            val next = text.next(at)
            points[size] = text.codePoint(at)
            starts[size] = at
            ends[size++] = next
            at = next
        }
    }

    private fun grow(needed: Int) {
        if (needed <= points.size) return
        val room = maxOf(needed, points.size * 2)
        points = points.copyOf(room)
        starts = starts.copyOf(room)
        ends = ends.copyOf(room)
    }

    private companion object {
        const val INITIAL = 256
    }
}
