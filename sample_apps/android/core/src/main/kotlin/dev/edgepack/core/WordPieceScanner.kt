package dev.edgepack.core

/**
 * BERT's WordPiece in one pass over a text: added tokens, cleaning, folding, the order of marks, words and their
 * pieces.
 *
 * Nothing is allocated for a text but its copy, where the buffer is too short. Not for two threads at once.
 */
internal class WordPieceScanner(
    private val table: UnicodeTable,
    private val vocabulary: Vocabulary,
    private val added: AddedTokens,
    private val unknownId: Int,
    longestWord: Int,
) : TextScanner {
    private val word = WordBuffer(longestWord)
    private val run = MarkRun()
    private val fold = IntArray(table.longestFold)
    private val text = SourceText()
    private var lastSource = 0
    private lateinit var out: TokenBuffer

    override fun scan(input: String, output: TokenBuffer, enough: Int) {
        begin(input, output)
        var at = 0
        while (at < text.length && out.size < enough) {
            val token = if (added.mayBeginWith(text.chars[at])) added.match(text.chars, at, text.length) else null
            if (token != null) {
                at = takeAdded(token, at)
                continue
            }
            take(text.codePoint(at), at)
            at = text.next(at)
        }
        finish()
    }

    private fun begin(input: String, output: TokenBuffer) {
        text.load(input)
        out = output
        out.cut(0)
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
        while (token.stripsLeft && start > before && isSpace(text.chars[start - 1])) start--
        var end = at + token.content.length
        while (token.stripsRight && end < text.length && isSpace(text.chars[end])) end++
        out.add(token.id, start, end)
        lastSource = end
        return end
    }

    /** All of Unicode's spaces lie in the basic plane. */
    private fun isSpace(char: Char): Boolean = table.entry(char.code) and UnicodeTable.SPACE != 0

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
    }

    /** One folded code point, in order. */
    private fun letter(point: Int, entry: Int, source: Int) {
        lastSource = source
        if (entry and (UnicodeTable.SPACE or UnicodeTable.PUNCTUATION) == 0) return word.append(point, source)
        flushWord()
        if (entry and UnicodeTable.SPACE == 0) {
            word.append(point, source)
            flushWord()
        }
    }

    private fun flushRun() {
        if (run.size > 0) run.drain(lastSource) { point, source -> letter(point, table.entry(point), source) }
    }

    /** The word's pieces, longest match first; one unknown token where a piece has no match or the word is too long. */
    private fun flushWord() {
        if (word.isEmpty) return
        val before = out.size
        var at = 0
        while (at < word.length && !word.isTooLong) {
            val match = vocabulary.longest(word.chars, word.hashes, at, word.length)
            if (match == Vocabulary.NONE) break
            val end = match.toInt()
            out.add((match ushr 32).toInt(), word.sources[at], text.next(word.sources[end - 1]))
            at = end
        }
        if (at < word.length || word.isTooLong) {
            out.cut(before)
            out.add(unknownId, word.firstSource, text.next(word.lastSource))
        }
        word.clear()
    }
}
