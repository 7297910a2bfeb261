package dev.edgepack.core

import dev.edgepack.core.normalizer.Letters

/**
 * BERT's WordPiece in one pass over a text: added tokens, cleaning, folding, the order of marks, words and their
 * pieces. Only where added tokens are looked for in normalized text is that kept and read a second time.
 *
 * Nothing is allocated for a text but larger buffers, where they are too short. Not for two threads at once.
 */
internal class WordPieceScanner(
    private val table: UnicodeTable,
    private val vocabulary: Vocabulary,
    added: List<AddedToken>,
    private val unknownId: Int,
    longestWord: Int,
) : TextScanner {
    private val early = AddedTokens(added.filter { !it.isLate }, table)
    private val late = AddedTokens(added.filter { it.isLate }, table)
    private val word = WordBuffer(longestWord)
    private val run = MarkRun()
    private val fold = IntArray(table.foldRoom)
    private val text = SourceText()
    private val whole = Letters()
    private val normalized = Letters()
    private val tokens = TrimmedTokens(table, text, OffsetOptions())
    private var lastSource = 0
    private lateinit var out: TokenBuffer

    override fun scan(input: String, output: TokenBuffer, enough: Int) {
        text.load(input)
        whole.load(text)
        out = output
        tokens.begin(output, enough)
        word.clear()
        early.split(whole, 0, whole.size, tokens) { from, to -> stretch(from, to) }
    }

    /** A stretch between added tokens. */
    private fun stretch(from: Int, to: Int) {
        lastSource = whole.starts[from]
        normalized.clear()
        var at = from
        while (at < to && !tokens.isFull) {
            take(whole.points[at], whole.starts[at])
            at++
        }
        flushRun()
        flushWord()
        late.split(normalized, 0, normalized.size, tokens) { first, end -> words(first, end) }
    }

    /** The words of normalized letters without added tokens. */
    private fun words(from: Int, to: Int) {
        for (i in from until to) place(normalized.points[i], table.entry(normalized.points[i]), normalized.starts[i])
        flushWord()
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
        letter(' '.code, UnicodeTable.SPACE, source)
    }

    /** One folded code point, in order. */
    private fun letter(point: Int, entry: Int, source: Int) {
        lastSource = source
        if (late.isEmpty) place(point, entry, source) else normalized.add(point, source, text.next(source))
    }

    /** One code point of a word or between words. */
    private fun place(point: Int, entry: Int, source: Int) {
        if (entry and (UnicodeTable.SPACE or UnicodeTable.PUNCTUATION) == 0) return word.append(point, source)
        flushWord()
        if (entry and UnicodeTable.SPACE != 0) return
        word.append(point, source)
        flushWord()
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
