package dev.edgepack.core.normalizer

import dev.edgepack.core.Hangul
import dev.edgepack.core.UnicodeTable

/**
 * Grapheme clusters as the library sees them (UAX #29): what a character map replaces as a whole.
 *
 * @property classes what code points do at a border, by the flags below; one that has no effect on a cluster below six
 *   bytes may be missing
 */
internal class Clusters(private val classes: UnicodeTable) {
    /** Whether a code point may belong to a cluster with others. */
    fun mayJoin(point: Int): Boolean = classes.entry(point) != 0 || point == CR

    /** The end of the cluster that begins at [start], by [to]. */
    fun end(points: IntArray, start: Int, to: Int): Int {
        var at = start + 1
        while (at < to && joins(points, start, at)) at++
        return at
    }

    /** Whether `points[at]` belongs to the cluster that begins at [start] and reaches up to it. */
    private fun joins(points: IntArray, start: Int, at: Int): Boolean {
        if (points[at - 1] == CR && points[at] == LF) return true
        val before = classes.entry(points[at - 1])
        val entry = classes.entry(points[at])
        if ((before or entry) and CONTROL != 0) return false
        if (entry and (EXTENDING or SPACING) != 0 || before and PREPENDED != 0) return true
        if (joinsHangul(points[at - 1], points[at])) return true
        if (points[at - 1] == JOINER && entry and PICTURE != 0) return joinsPicture(points, start, at - 2)
        return entry and CONSONANT != 0 && joinsConsonant(points, start, at - 1)
    }

    private fun joinsHangul(first: Int, second: Int): Boolean {
        val before = classes.entry(first)
        val entry = classes.entry(second)
        if (before and LEAD != 0) return entry and (LEAD or VOWEL) != 0 || Hangul.isSyllable(second)
        if (before and VOWEL != 0 || Hangul.isOpen(first)) return entry and (VOWEL or TRAIL) != 0
        return (before and TRAIL != 0 || Hangul.isSyllable(first)) && entry and TRAIL != 0
    }

    /** Whether what ends at [last] is a picture, perhaps extended. */
    private fun joinsPicture(points: IntArray, start: Int, last: Int): Boolean {
        var at = last
        while (at > start && classes.entry(points[at]) and EXTENDING != 0) at--
        return at >= start && classes.entry(points[at]) and PICTURE != 0
    }

    /** Whether what ends at [last] is a consonant with a linker behind it. */
    private fun joinsConsonant(points: IntArray, start: Int, last: Int): Boolean {
        var at = last
        var isLinked = false
        while (at > start && classes.entry(points[at]) and (BRIDGING or LINKER) != 0) {
            if (classes.entry(points[at]) and LINKER != 0) isLinked = true
            at--
        }
        return isLinked && classes.entry(points[at]) and CONSONANT != 0
    }

    companion object {
        const val CONTROL = 1 // nothing joins them
        const val EXTENDING = 1 shl 1 // join what is before
        const val SPACING = 1 shl 2 // join too, but end a picture's sequence
        const val PREPENDED = 1 shl 3 // what follows joins them
        const val PICTURE = 1 shl 4 // join a picture before, over a zero-width joiner
        const val CONSONANT = 1 shl 5 // join a consonant before, over a linker
        const val LINKER = 1 shl 6
        const val BRIDGING = 1 shl 7 // may stand between consonant and linker
        const val LEAD = 1 shl 8 // of Hangul
        const val VOWEL = 1 shl 9
        const val TRAIL = 1 shl 10
        private const val CR = 0x0D
        private const val LF = 0x0A
        private const val JOINER = 0x200D

        /** The flags in the order of the asset's range lists. */
        val IN_ORDER = intArrayOf(
            CONTROL, EXTENDING, SPACING, PREPENDED, PICTURE, CONSONANT, LINKER, BRIDGING, LEAD, VOWEL, TRAIL,
        )
    }
}
