package dev.edgepack.core.normalizer

import dev.edgepack.core.Hangul
import dev.edgepack.core.UnicodeTable

/**
 * NFD or NFKD, and with [compositions] the composition after it, so that it is NFC or NFKC (UAX #15).
 *
 * Hangul is decomposed and composed by arithmetic. Letters that neither change nor may join the one before them are
 * left as they are.
 *
 * @property table what each code point decomposes to, and the order of marks; [UnicodeTable.JOINS] where it may join
 */
internal class Decompose(private val table: UnicodeTable, private val compositions: NumberMap?) : Step {
    private val out = Changes()
    private val fold = IntArray(table.foldRoom)
    private var keys = LongArray(16)

    override val growth: Int get() = table.longestFold

    override fun apply(letters: Letters, spare: Letters, start: Int): Letters {
        if (!isTouched(letters)) return letters
        decompose(letters)
        if (compositions != null) compose(compositions)
        out.transform(letters, spare, start)
        return spare
    }

    private fun isTouched(letters: Letters): Boolean {
        for (i in 0 until letters.size) if (table.entry(letters.points[i]) and TOUCHED != 0) return true
        return false
    }

    /** Each code point's parts, runs of marks sorted by rank. */
    private fun decompose(letters: Letters) {
        out.cut(0)
        var run = 0 // where the run of marks at the end begins
        for (i in 0 until letters.size) {
            val count = table.fold(letters.points[i], fold)
            for (place in 0 until count) {
                val isMark = table.rank(fold[place]) > 0
                if (!isMark) sort(run)
                out.add(fold[place], if (place > 0) 1 else 0)
                if (!isMark) run = out.size
            }
        }
        sort(run)
    }

    /** Sorts the marks from [from] on by rank; those of equal rank keep their order. */
    private fun sort(from: Int) {
        val count = out.size - from
        if (count < 2) return
        if (keys.size < count) keys = LongArray(count * 2)
        var isSorted = true
        for (i in 0 until count) {
            keys[i] = table.rank(out.points[from + i]).toLong() shl Int.SIZE_BITS or i.toLong()
            if (i > 0 && keys[i] < keys[i - 1]) isSorted = false
        }
        if (isSorted) return
        keys.sort(0, count)
        val points = out.points.copyOfRange(from, out.size)
        val changes = out.changes.copyOfRange(from, out.size)
        for (i in 0 until count) {
            val source = keys[i].toInt()
            out.points[from + i] = points[source]
            out.changes[from + i] = changes[source]
        }
    }

    /** A starter takes up what follows, over marks of a lower rank than its own; in place, since nothing grows. */
    private fun compose(compositions: NumberMap) {
        var size = 0
        var starter = NONE
        var lastRank = 0 // of the marks behind the starter
        for (i in 0 until out.size) {
            val point = out.points[i]
            val rank = table.rank(point)
            if (starter != NONE) {
                val isBlocked = lastRank > 0 && lastRank >= rank
                val joined = if (isBlocked) NONE else composition(out.points[starter], point, compositions)
                if (joined != NONE) {
                    out.points[starter] = joined
                    out.changes[starter] += out.changes[i] - 1
                    continue
                }
                lastRank = rank
            }
            if (rank == 0) starter = size
            out.points[size] = point
            out.changes[size++] = out.changes[i]
        }
        out.cut(size)
    }

    private fun composition(first: Int, second: Int, compositions: NumberMap): Int {
        val syllable = Hangul.compose(first, second)
        return if (syllable != NONE) syllable else compositions.find(key(first, second))
    }

    companion object {
        private const val NONE = -1
        private const val TOUCHED = UnicodeTable.FOLD_MASK or UnicodeTable.MARK or UnicodeTable.JOINS

        /** A pair of code points in a map of compositions. */
        fun key(first: Int, second: Int): Long = first.toLong() shl NumberMap.VALUE_BITS or second.toLong()
    }
}
