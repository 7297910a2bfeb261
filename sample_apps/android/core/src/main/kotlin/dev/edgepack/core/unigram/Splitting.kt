package dev.edgepack.core.unigram

import dev.edgepack.core.UnicodeTable
import dev.edgepack.core.normalizer.Letters

/** A step of a pre-tokenizer: cuts letters into stretches, none of which a piece may cross. */
internal interface Splitting {
    /** Hands over the stretches of `letters[from, to)`, which is not empty, in order; they may lie in other letters. */
    fun split(letters: Letters, from: Int, to: Int, use: StretchUser)
}

/** Takes stretches. */
internal fun interface StretchUser {
    fun take(letters: Letters, from: Int, to: Int)
}

/** Spaces go. */
internal class AtSpaces(private val table: UnicodeTable) : Splitting {
    override fun split(letters: Letters, from: Int, to: Int, use: StretchUser) {
        var first = from
        for (at in from until to) {
            if (table.entry(letters.points[at]) and UnicodeTable.SPACE == 0) continue
            if (at > first) use.take(letters, first, at)
            first = at + 1
        }
        if (first < to) use.take(letters, first, to)
    }
}

/** Each punctuation mark is a stretch of its own. */
internal class AtMarks(private val table: UnicodeTable) : Splitting {
    override fun split(letters: Letters, from: Int, to: Int, use: StretchUser) {
        var first = from
        for (at in from until to) {
            if (table.entry(letters.points[at]) and UnicodeTable.PUNCTUATION == 0) continue
            if (at > first) use.take(letters, first, at)
            use.take(letters, at, at + 1)
            first = at + 1
        }
        if (first < to) use.take(letters, first, to)
    }
}

/**
 * Writes [letter] for a space, puts one first where [scheme] says so, and begins a stretch at each if it [splits].
 *
 * The letter that is put first has the offsets of the one behind it.
 */
internal class Metaspace(private val letter: Int, private val scheme: Int, private val splits: Boolean) : Splitting {
    private val shown = Letters()

    override fun split(letters: Letters, from: Int, to: Int, use: StretchUser) {
        shown.clear()
        val first = letters.points[from]
        val isShown = first == SPACE || first == letter
        if (!isShown && (scheme == ALWAYS || scheme == FIRST && letters.starts[from] == 0)) {
            shown.add(letter, letters.starts[from], letters.ends[from])
        }
        val put = shown.size
        shown.add(letters, from, to)
        var done = 0
        for (at in put until shown.size) {
            if (shown.points[at] == SPACE) shown.points[at] = letter
            if (splits && at > done && shown.points[at] == letter) {
                use.take(shown, done, at)
                done = at
            }
        }
        use.take(shown, done, shown.size)
    }

    companion object {
        const val SCHEMES = 3 // 0: never
        private const val FIRST = 1 // at the text's start
        private const val ALWAYS = 2 // at that of each stretch
        private const val SPACE = 0x20
    }
}
