package dev.edgepack.core

/** A word: its first token, which alone carries its tag, and its UTF-16 `[start, end)`. */
class Word(val first: Int, val start: Int, val end: Int)

/**
 * Finds the words of a text by where its tokens stand, whatever kind of tokenizer they are of (edgepack's
 * docs/bundle.md, "Words and entities").
 */
internal class WordFinder(private val table: UnicodeTable) {
    private val text = SourceText()

    /** The words of [input], whose own tokens are those of [encoding] that belong to its first text. */
    fun find(input: String, encoding: Encoding): List<Word> {
        text.load(input)
        val out = ArrayList<Word>()
        var group = ArrayList<Word>()
        for (unit in units(encoding)) {
            if (group.isNotEmpty() && isApart(group.last(), unit)) {
                join(group, out)
                group = ArrayList()
            }
            group.add(unit)
        }
        join(group, out)
        return out
    }

    /**
     * Tokens without the spaces at their ends, those that overlap as one. A token of spaces is none, but the first
     * token of what it stands before, where it is that one's own space.
     */
    private fun units(encoding: Encoding): List<Word> {
        val out = ArrayList<Word>()
        var blank = NONE // where the token before ends, if that is one of spaces
        for (token in 0 until encoding.size) {
            if (encoding.sequences[token] != 0) continue
            var start = encoding.starts[token]
            var end = encoding.ends[token]
            while (start < end && isSpace(start)) start++
            while (start < end && isSpace(end - 1)) end--
            if (start >= end) {
                blank = encoding.ends[token]
                continue
            }
            val last = out.lastOrNull()
            if (last != null && start < last.end) {
                out[out.size - 1] = Word(last.first, last.start, maxOf(last.end, end))
            } else {
                out.add(Word(if (isOwnSpace(blank, start)) token - 1 else token, start, end))
            }
            blank = NONE
        }
        return out
    }

    /**
     * Whether a token of spaces that ends at [blank] is spelled with the word at [start]. One that ends behind it, or
     * at the start of the text, is not in the text: the tokenizer has put it first.
     */
    private fun isOwnSpace(blank: Int, start: Int): Boolean =
        blank >= start && (blank > start || start == 0 || text.chars[start - 1] == ' ')

    /** Whether a word ends between two units. */
    private fun isApart(before: Word, unit: Word): Boolean {
        if (has(text.before(before.end), UnicodeTable.PADDED) || has(unit.start, UnicodeTable.PADDED)) return true
        return (before.end until unit.start).any(::isSpace)
    }

    /** A group as one word, with the punctuation at its ends as words beside it. */
    private fun join(group: List<Word>, out: ArrayList<Word>) {
        var from = 0
        while (from < group.size && isMark(group[from])) from++
        var to = group.size
        while (to > from && isMark(group[to - 1])) to--
        out.addAll(group.subList(0, from))
        if (from < to) out.add(Word(group[from].first, group[from].start, group[to - 1].end))
        out.addAll(group.subList(to, group.size))
    }

    private fun isMark(unit: Word): Boolean {
        var at = unit.start
        while (at < unit.end && has(at, UnicodeTable.PUNCTUATION)) at = text.next(at)
        return at >= unit.end
    }

    /** All of Unicode's spaces lie in the basic plane. */
    private fun isSpace(at: Int): Boolean = table.entry(text.chars[at].code) and UnicodeTable.SPACE != 0

    private fun has(at: Int, flag: Int): Boolean = table.entry(text.codePoint(at)) and flag != 0

    private companion object {
        const val NONE = -1
    }
}
