package dev.edgepack.core

/**
 * Where GPT-2's pattern splits a text: contractions, and runs of letters, of numbers, of spaces and of anything else.
 *
 * `'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+`, with the asset's classes.
 */
internal class PiecePattern(private val table: UnicodeTable) {
    private var points = IntArray(0)

    /** The end of the piece at [at] of [letters], before [to]; [prefixed] says that a space is thought before it. */
    fun end(letters: IntArray, at: Int, to: Int, prefixed: Boolean): Int {
        points = letters
        if (!prefixed && points[at] == '\''.code) {
            val length = contraction(at, to)
            if (length > 0) return at + length
        }
        val first = if (!prefixed && points[at] == ' '.code) at + 1 else at
        val kind = if (first < to) kind(first) else UnicodeTable.GAP
        return if (kind == UnicodeTable.GAP) gap(at, to, prefixed) else run(first, to, kind)
    }

    /** How long the contraction is that begins at [at]; 0 if none does. */
    private fun contraction(at: Int, to: Int): Int {
        val first = if (at + 1 < to) points[at + 1] else return 0
        if (first == 's'.code || first == 't'.code || first == 'm'.code || first == 'd'.code) return 2
        val second = if (at + 2 < to) points[at + 2] else return 0
        val isLong = when (second) {
            'e'.code -> first == 'r'.code || first == 'v'.code
            'l'.code -> first == 'l'.code
            else -> false
        }
        return if (isLong) 3 else 0
    }

    private fun run(from: Int, to: Int, kind: Int): Int {
        var end = from
        while (end < to && kind(end) == kind) end++
        return end
    }

    /** A run of spaces: all but the last, which belongs to what follows, where anything follows. */
    private fun gap(at: Int, to: Int, prefixed: Boolean): Int {
        var count = if (prefixed) 1 else 0
        var last = at
        var end = at
        while (end < to && kind(end) == UnicodeTable.GAP) {
            last = end
            end++
            count++
        }
        return if (end == to || count == 1) end else last
    }

    private fun kind(at: Int): Int = table.entry(points[at]) and KINDS

    private companion object {
        const val KINDS = UnicodeTable.LETTER or UnicodeTable.NUMBER or UnicodeTable.GAP
    }
}
