package dev.edgepack.core.normalizer

import dev.edgepack.core.UnicodeTable
import dev.edgepack.core.encodeUtf8

/** Keys of two code points or more, by their UTF-8 bytes, with their values: places in [pool], each with its length. */
internal class LongKeys(private val places: NumberMap, val pool: IntArray) {
    /** Where the value of a key is, -1 if there is none. */
    fun find(key: Long): Int = places.find(key)

    companion object {
        /** A key of no bytes: its one bit tells keys apart that begin with U+0000. */
        const val EMPTY = 1L

        /** Bytes of a key; a cluster that is looked up has no more. */
        const val MOST_BYTES = 5

        /** The key with a code point more. */
        fun append(key: Long, point: Int): Long {
            var longer = key
            encodeUtf8(point) { longer = longer shl Byte.SIZE_BITS or it.toLong() }
            return longer
        }

        /** Whether a key has more bytes than a cluster that is looked up. */
        fun isTooLong(key: Long): Boolean = key ushr MOST_BYTES * Byte.SIZE_BITS > EMPTY
    }
}

/**
 * SentencePiece's character map: a cluster below six bytes is replaced by the value of the shortest key that it begins
 * with, in all others each code point by its own.
 *
 * @property single keys of one code point
 * @property several all others
 */
internal class CharacterMap(
    private val single: UnicodeTable,
    private val several: LongKeys,
    private val clusters: Clusters,
    override val growth: Int,
) : Step {
    private val out = Changes()
    private val fold = IntArray(single.foldRoom)

    override fun apply(letters: Letters, spare: Letters, start: Int): Letters {
        if (!isTouched(letters)) return letters
        out.cut(0)
        var at = 0
        while (at < letters.size) {
            val end = clusters.end(letters.points, at, letters.size)
            if (!replaceWhole(letters.points, at, end)) {
                for (i in at until end) if (!replace(letters.points[i], 1)) out.add(letters.points[i], 0)
            }
            at = end
        }
        out.transform(letters, spare, start)
        return spare
    }

    /** False where every letter is a cluster of its own that no key is of. */
    private fun isTouched(letters: Letters): Boolean {
        for (i in 0 until letters.size) {
            val point = letters.points[i]
            if (single.entry(point) != 0 || clusters.mayJoin(point)) return true
        }
        return false
    }

    private fun replaceWhole(points: IntArray, from: Int, to: Int): Boolean {
        if (to - from > LongKeys.MOST_BYTES) return false
        var whole = LongKeys.EMPTY
        for (i in from until to) {
            whole = LongKeys.append(whole, points[i])
            if (LongKeys.isTooLong(whole)) return false
        }
        if (replace(points[from], to - from)) return true
        var key = LongKeys.append(LongKeys.EMPTY, points[from])
        for (i in from + 1 until to) {
            key = LongKeys.append(key, points[i])
            val place = several.find(key)
            if (place >= 0) {
                out.put(to - from, several.pool, place + 1, several.pool[place])
                return true
            }
        }
        return false
    }

    /** Puts what [point] becomes in the place of [old] letters, if it is a key. */
    private fun replace(point: Int, old: Int): Boolean {
        if (single.entry(point) and UnicodeTable.FOLD_MASK == 0) return false
        out.put(old, fold, 0, single.fold(point, fold))
        return true
    }
}
