package dev.edgepack.core

import dev.edgepack.core.normalizer.Letters

/**
 * What a tokenizer's post-processor does to offsets.
 *
 * @property trim they leave out the spaces at a token's ends
 * @property keepsFirst … but for a single one before the first token, which is taken for one that was put there
 */
internal class OffsetOptions(val trim: Boolean = false, val keepsFirst: Boolean = false) {
    companion object {
        private const val TRIM = 2
        private const val KEEPS_FIRST = 4

        /** What the flags of a version 2 header say. */
        fun of(flags: Int) = OffsetOptions(trim = flags and TRIM != 0, keepsFirst = flags and KEEPS_FIRST != 0)
    }
}

/** Takes the tokens of a text as they are found, and leaves spaces out of their offsets where that is asked for. */
internal class TrimmedTokens(
    private val table: UnicodeTable,
    private val text: SourceText,
    private val options: OffsetOptions,
) {
    private lateinit var out: TokenBuffer
    private var enough = 0

    /** Empties [output] and fills it from now on. */
    fun begin(output: TokenBuffer, enough: Int) {
        out = output
        out.cut(0)
        this.enough = enough
    }

    /** Whether there are as many tokens as are wanted. */
    val isFull: Boolean get() = out.size >= enough

    /** Whether spaces are left out, so that somebody has to count them. */
    val trims: Boolean get() = options.trim

    /** An added token, which is `letters[from, to)` with what it has swallowed. */
    fun takeAdded(id: Int, letters: Letters, from: Int, to: Int) = take(id, letters, from, to, from, to)

    /** A token that stands for `letters[from, to)` and is spelled as `letters[first, end)`. */
    fun take(id: Int, letters: Letters, from: Int, to: Int, first: Int, end: Int) {
        val start = letters.starts[from]
        val stop = letters.ends[to - 1]
        if (!options.trim) return out.add(id, start, stop)
        var leading = first
        while (leading < end && isTrimmed(letters.points[leading])) leading++
        var trailing = end
        while (trailing > first && isTrimmed(letters.points[trailing - 1])) trailing--
        take(id, start, stop, leading - first, end - trailing)
    }

    /** A token at `[start, end)` of the text that begins and ends with so many spaces. */
    fun take(id: Int, start: Int, end: Int, leading: Int, trailing: Int) {
        if (!options.trim) return out.add(id, start, end)
        val keeps = options.keepsFirst && leading == 1 && (out.size == 0 || start == 0)
        val first = forward(start, if (keeps) 0 else leading, end)
        out.add(id, first, maxOf(back(end, trailing), first))
    }

    private fun isTrimmed(point: Int): Boolean =
        point == SHOWN_SPACE || table.entry(point) and UnicodeTable.SPACE != 0

    /** [at] moved on by [count] code points, not beyond [end]. */
    private fun forward(at: Int, count: Int, end: Int): Int {
        var moved = at
        var left = count
        while (left-- > 0 && moved < end) moved = text.next(moved)
        return moved
    }

    /** [at] moved back by [count] code points; where there are fewer before it, it stays. */
    private fun back(at: Int, count: Int): Int {
        var moved = at
        repeat(count) {
            if (moved == 0) return at
            moved = text.before(moved)
        }
        return moved
    }

    private companion object {
        const val SHOWN_SPACE = 0x120 // a space as byte-level vocabularies write it
    }
}
