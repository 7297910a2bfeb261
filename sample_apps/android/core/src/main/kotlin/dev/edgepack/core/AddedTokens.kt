package dev.edgepack.core

import dev.edgepack.core.normalizer.Letters

/** A token that is matched as it stands, by its code points; it may swallow the spaces beside it. */
internal class AddedToken(val id: Int, val content: IntArray, flags: Int) {
    val stripsLeft = flags and 1 != 0
    val stripsRight = flags and 2 != 0

    /** Looked for in what is left between the other ones, after normalization. */
    val isLate = flags and 4 != 0
}

/**
 * Finds added tokens, the longest first at each place. They are a handful: a list and a look at the first one do.
 *
 * @property table says what a space is
 */
internal class AddedTokens(tokens: List<AddedToken>, private val table: UnicodeTable) {
    private val longestFirst = tokens.sortedByDescending { it.content.size }.toTypedArray()
    private val asciiFirst = BooleanArray(ASCII)
    private val anyOther = longestFirst.any { it.content[0] >= ASCII }

    init {
        for (token in longestFirst) if (token.content[0] < ASCII) asciiFirst[token.content[0]] = true
    }

    val isEmpty: Boolean get() = longestFirst.isEmpty()

    /**
     * Cuts `letters[from, to)` at the tokens in it, each with the spaces that it swallows: they go to [out], the rest
     * to [between]. Stops where [out] has enough.
     */
    inline fun split(letters: Letters, from: Int, to: Int, out: TrimmedTokens, between: (from: Int, to: Int) -> Unit) {
        var done = from
        var at = if (isEmpty) to else from
        while (at < to && !out.isFull) {
            val token = match(letters.points, at, to)
            if (token == null) {
                at++
                continue
            }
            val start = if (token.stripsLeft) swallowLeft(letters.points, at, done) else at
            at += token.content.size
            val end = if (token.stripsRight) swallowRight(letters.points, at, to) else at
            if (start > done) between(done, start)
            out.takeAdded(token.id, letters, start, end)
            done = end
        }
        if (done < to && !out.isFull) between(done, to)
    }

    /** The longest added token at [at] that ends by [to], if any. */
    private fun match(points: IntArray, at: Int, to: Int): AddedToken? {
        val first = points[at]
        if (if (first < ASCII) !asciiFirst[first] else !anyOther) return null
        for (token in longestFirst) if (standsAt(token.content, points, at, to)) return token
        return null
    }

    private fun standsAt(content: IntArray, points: IntArray, at: Int, to: Int): Boolean {
        if (content.size > to - at) return false
        for (i in content.indices) if (points[at + i] != content[i]) return false
        return true
    }

    private fun swallowLeft(points: IntArray, at: Int, from: Int): Int {
        var start = at
        while (start > from && isSpace(points[start - 1])) start--
        return start
    }

    private fun swallowRight(points: IntArray, at: Int, to: Int): Int {
        var end = at
        while (end < to && isSpace(points[end])) end++
        return end
    }

    private fun isSpace(point: Int): Boolean = table.entry(point) and UnicodeTable.SPACE != 0

    private companion object {
        const val ASCII = 128
    }
}
