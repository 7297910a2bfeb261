package dev.edgepack.core

/**
 * One pass over a text: added tokens, cleaning, folding, the order of marks, words and their pieces.
 *
 * Nothing is allocated for a text but its copy, where the buffer is too short. Not for two threads at once.
 */
internal class TextScanner(
    private val table: UnicodeTable,
    private val vocabulary: Vocabulary,
    private val added: AddedTokens,
    private val unknownId: Int,
    longestWord: Int,
) {
    private val word = WordBuffer(longestWord)
    private val run = MarkRun()
    private val fold = IntArray(table.longestFold)
    private var text = CharArray(INITIAL)
    private var length = 0
    private var stretch = 0
    private var lastSource = 0
    private lateinit var out: TokenBuffer

    /** Adds the tokens of [input] to [output], which is emptied; stops soon after [enough] tokens. */
    fun scan(input: String, output: TokenBuffer, enough: Int) {
        begin(input, output)
        var at = 0
        while (at < length && out.size < enough) {
            val token = if (added.mayBeginWith(text[at])) added.match(text, at, length) else null
            if (token != null) {
                at = takeAdded(token, at)
                continue
            }
            val point = codePoint(at)
            take(point, at)
            at += Character.charCount(point)
        }
        finish()
    }

    private fun begin(input: String, output: TokenBuffer) {
        length = input.length
        if (text.size < length) text = CharArray(maxOf(length, text.size * 2))
        input.toCharArray(text, 0, 0, length)
        out = output
        out.cut(0)
        stretch = 0
        lastSource = 0
        word.clear()
    }

    private fun finish() {
        flushRun()
        flushWord()
    }

    /** The added token's start and end take in the spaces that it swallows; returns where the text goes on. */
    private fun takeAdded(token: AddedToken, at: Int): Int {
        finish()
        val before = if (out.size > 0) out.ends[out.size - 1] else 0
        var start = at
        while (token.stripsLeft && start > before && isSpace(text[start - 1])) start--
        var end = at + token.content.length
        while (token.stripsRight && end < length && isSpace(text[end])) end++
        out.add(token.id, start, end, stretch)
        if (end > at + token.content.length) stretch++
        lastSource = end
        return end
    }

    /** All of Unicode's spaces lie in the basic plane. */
    private fun isSpace(char: Char): Boolean = table.entry(char.code) and UnicodeTable.SPACE != 0

    /** The code point at [at]; half a surrogate pair alone counts as U+FFFD, as in every conversion to UTF-8. */
    private fun codePoint(at: Int): Int {
        val first = text[at]
        if (!first.isSurrogate()) return first.code
        if (first.isHighSurrogate() && at + 1 < length && text[at + 1].isLowSurrogate()) {
            return Character.toCodePoint(first, text[at + 1])
        }
        return REPLACEMENT
    }

    /** One code point of the text. */
    private fun take(point: Int, source: Int) {
        val entry = table.entry(point)
        if (entry and UnicodeTable.UNUSUAL == 0 && run.size == 0) return letter(point, entry, source)
        if (entry and UnicodeTable.REMOVED != 0) return
        val padded = entry and UnicodeTable.PADDED != 0
        if (padded) gap(source)
        val count = table.fold(point, fold)
        if (count == 0) takeNothing(point, source)
        for (i in 0 until count) {
            val rank = table.rank(fold[i])
            if (rank > 0) {
                run.add(fold[i], rank, source, hasOffset = i == 0 && !padded)
            } else {
                flushRun()
                letter(fold[i], table.entry(fold[i]), source)
            }
        }
        if (padded) gap(source)
    }

    /** A code point that becomes nothing: a mark keeps its place in the order, anything else ends the run. */
    private fun takeNothing(point: Int, source: Int) {
        val rank = table.rank(point)
        if (rank > 0) run.add(MarkRun.GONE, rank, source, hasOffset = true) else flushRun()
    }

    /** A space that the tokenizer sets itself, beside an ideograph. */
    private fun gap(source: Int) {
        flushRun()
        lastSource = source
        flushWord()
        stretch++
    }

    /** One folded code point, in order. */
    private fun letter(point: Int, entry: Int, source: Int) {
        lastSource = source
        if (entry and (UnicodeTable.SPACE or UnicodeTable.PUNCTUATION) == 0) return word.append(point, source)
        flushWord()
        if (entry and UnicodeTable.SPACE != 0) {
            stretch++
        } else {
            word.append(point, source)
            flushWord(mark = true)
        }
    }

    private fun flushRun() {
        if (run.size > 0) run.drain(lastSource) { point, source -> letter(point, table.entry(point), source) }
    }

    /** The word's pieces, longest match first; one unknown token where a piece has no match or the word is too long. */
    private fun flushWord(mark: Boolean = false) {
        if (word.isEmpty) return
        val before = out.size
        var at = 0
        while (at < word.length && !word.isTooLong) {
            val match = vocabulary.longest(word.chars, word.hashes, at, word.length)
            if (match == Vocabulary.NONE) break
            val end = match.toInt()
            out.add((match ushr 32).toInt(), word.sources[at], endOf(word.sources[end - 1]), stretch, mark)
            at = end
        }
        if (at < word.length || word.isTooLong) {
            out.cut(before)
            out.add(unknownId, word.firstSource, endOf(word.lastSource), stretch, mark)
        }
        word.clear()
    }

    /** The UTF-16 index after the code point at [source]. */
    private fun endOf(source: Int): Int {
        val pair = text[source].isHighSurrogate() && source + 1 < length && text[source + 1].isLowSurrogate()
        return if (pair) source + 2 else source + 1
    }

    private companion object {
        const val INITIAL = 512
        const val REPLACEMENT = 0xFFFD
    }
}
