package dev.edgepack.core.normalizer

/**
 * What a step writes: code points, each with a change. 0 takes the place of one letter, a negative one of that many
 * more, a positive one is put in and takes none.
 *
 * A letter put in has the offsets of the one before it in the old text. Where steps sort, join or drop letters, those
 * offsets are not what one would choose; they are the library's, and its tokens' offsets follow from them.
 */
internal class Changes {
    var size = 0
        private set
    var points = IntArray(INITIAL)
        private set
    var changes = IntArray(INITIAL)
        private set

    /** Keeps the first [count]. */
    fun cut(count: Int) {
        size = count
    }

    fun add(point: Int, change: Int) {
        if (size == points.size) {
            points = points.copyOf(size * 2)
            changes = changes.copyOf(size * 2)
        }
        points[size] = point
        changes[size++] = change
    }

    /** Counts [change] to the last one, if there is one. */
    fun addToLast(change: Int) {
        if (size > 0) changes[size - 1] += change
    }

    /**
     * `new[from, from + count)` in the place of [old] letters; what is left over is put in, what is missing counted to
     * the last one.
     */
    fun put(old: Int, new: IntArray, from: Int, count: Int) {
        for (i in 0 until count) add(new[from + i], if (i < old) 0 else 1)
        if (count < old) addToLast(count - old)
    }

    /** The letters that these changes make of [old], of which the first [skipped] are gone; it begins at [start]. */
    fun transform(old: Letters, new: Letters, start: Int, skipped: Int = 0) {
        new.clear()
        var at = skipped
        for (i in 0 until size) {
            val change = changes[i]
            if (change <= 0) {
                new.add(points[i], old.starts[at], old.ends[at])
                at += 1 - change
            } else if (at > 0) {
                new.add(points[i], old.starts[at - 1], old.ends[at - 1])
            } else {
                new.add(points[i], start, start)
            }
        }
    }

    private companion object {
        const val INITIAL = 256
    }
}
