package dev.edgepack.core.normalizer

import dev.edgepack.core.UnicodeTable

/** One string for another, wherever it stands. What is put in has the offsets of the last letter that goes. */
internal class Replace(private val found: IntArray, private val content: IntArray) : Step {
    override val growth: Int get() = maxOf(1, content.size)

    override fun apply(letters: Letters, spare: Letters, start: Int): Letters {
        var at = next(letters, 0)
        if (at == letters.size) return letters
        spare.clear()
        var done = 0
        while (at < letters.size) {
            spare.add(letters, done, at)
            done = at + found.size
            spare.put(content, letters, done - 1)
            at = next(letters, done)
        }
        spare.add(letters, done, letters.size)
        return spare
    }

    /** Where the string stands next, from [from] on; the letters' end where it does not. */
    private fun next(letters: Letters, from: Int): Int {
        for (at in from..letters.size - found.size) if (standsAt(letters.points, at)) return at
        return letters.size
    }

    private fun standsAt(points: IntArray, at: Int): Boolean {
        for (i in found.indices) if (points[at + i] != found[i]) return false
        return true
    }
}

/**
 * One string for each run of at least [least] code points, and for each single one outside such a run.
 *
 * @property table [RUN] for the points of a run, [SINGLE] for the single ones
 */
internal class ReplaceRuns(
    private val table: UnicodeTable,
    private val least: Int,
    private val content: IntArray,
) : Step {
    override val growth: Int get() = maxOf(1, content.size)

    override fun apply(letters: Letters, spare: Letters, start: Int): Letters {
        if (!isTouched(letters)) return letters
        spare.clear()
        var at = 0
        while (at < letters.size) {
            val end = runEnd(letters, at)
            if (end - at >= least) {
                spare.put(content, letters, end - 1)
                at = end
                continue
            }
            for (i in at until maxOf(end, at + 1)) { // what is left of a run that is too short is one, too
                if (has(letters, i, SINGLE)) spare.put(content, letters, i) else spare.add(letters, i, i + 1)
            }
            at = maxOf(end, at + 1)
        }
        return spare
    }

    private fun isTouched(letters: Letters): Boolean {
        var run = 0
        for (i in 0 until letters.size) {
            run = if (has(letters, i, RUN)) run + 1 else 0
            if (run >= least || has(letters, i, SINGLE)) return true
        }
        return false
    }

    private fun runEnd(letters: Letters, at: Int): Int {
        var end = at
        while (end < letters.size && has(letters, end, RUN)) end++
        return end
    }

    private fun has(letters: Letters, at: Int, flag: Int): Boolean = table.entry(letters.points[at]) and flag != 0

    companion object {
        const val RUN = 1
        const val SINGLE = 2
    }
}

/** Spaces at either end go. */
internal class Strip(private val left: Boolean, private val right: Boolean, private val spaces: UnicodeTable) : Step {
    override val growth: Int get() = 1

    override fun apply(letters: Letters, spare: Letters, start: Int): Letters {
        var first = 0
        var end = letters.size
        while (left && first < end && spaces.entry(letters.points[first]) != 0) first++
        while (right && end > first && spaces.entry(letters.points[end - 1]) != 0) end--
        if (end - first == letters.size) return letters
        spare.clear()
        spare.add(letters, first, end)
        return spare
    }
}
