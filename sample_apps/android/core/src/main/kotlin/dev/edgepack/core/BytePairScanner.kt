package dev.edgepack.core

/**
 * What the two byte-level steps of a tokenizer do.
 *
 * @property prefixSpace a space is thought before each stretch that does not begin with one
 * @property trimOffsets offsets leave out the spaces at a token's ends
 * @property trimPrefixed … but for a single one before the first token, which is taken for the one put there
 */
internal class BytePairOptions(val prefixSpace: Boolean, val trimOffsets: Boolean, val trimPrefixed: Boolean)

/**
 * Byte-level byte pair encoding, GPT-2's and RoBERTa's: added tokens, then pieces, their bytes and the bytes' merges.
 *
 * Nothing is allocated for a text but larger buffers, where they are too short. Not for two threads at once.
 */
internal class BytePairScanner(
    private val table: UnicodeTable,
    merges: MergeTable,
    private val ids: IntArray,
    added: List<AddedToken>,
    private val options: BytePairOptions,
) : TextScanner {
    private val early = AddedTokens(added.filter { !it.isLate })
    private val late = AddedTokens(added.filter { it.isLate })
    private val spaces = SymbolSpaces(merges, ids.size)
    private val run = SymbolRun(merges)
    private val text = SourceText()
    private val pattern = PiecePattern(table, text)
    private var enough = 0
    private lateinit var out: TokenBuffer

    override fun scan(input: String, output: TokenBuffer, enough: Int) {
        text.load(input)
        out = output
        out.cut(0)
        this.enough = enough
        split(early, 0, text.length) { from, to -> split(late, from, to) { first, end -> pieces(first, end) } }
    }

    /** Cuts a stretch at the added tokens in it, each with the spaces that it swallows; [between] takes the rest. */
    private inline fun split(tokens: AddedTokens, from: Int, to: Int, between: (from: Int, to: Int) -> Unit) {
        var done = from
        var at = from
        while (at < to && out.size < enough) {
            val token = if (tokens.mayBeginWith(text.chars[at])) tokens.match(text.chars, at, to) else null
            if (token == null) {
                at++
                continue
            }
            val start = if (token.stripsLeft) swallowLeft(at, done) else at
            at += token.content.length
            val end = if (token.stripsRight) swallowRight(at, to) else at
            if (start > done) between(done, start)
            takeAdded(token.id, start, end)
            done = end
        }
        if (done < to) between(done, to)
    }

    private fun swallowLeft(at: Int, from: Int): Int {
        var start = at
        while (start > from && isSpace(text.chars[start - 1])) start--
        return start
    }

    private fun swallowRight(at: Int, to: Int): Int {
        var end = at
        while (end < to && isSpace(text.chars[end])) end++
        return end
    }

    /** All of Unicode's spaces lie in the basic plane. */
    private fun isSpace(char: Char): Boolean = table.entry(char.code) and UnicodeTable.SPACE != 0

    private fun isTrimmed(char: Char): Boolean = char == SHOWN_SPACE || isSpace(char)

    /** An added token, with what it has swallowed. */
    private fun takeAdded(id: Int, start: Int, end: Int) {
        var leading = 0
        while (start + leading < end && isTrimmed(text.chars[start + leading])) leading++
        var trailing = 0
        while (end - trailing > start && isTrimmed(text.chars[end - 1 - trailing])) trailing++
        take(id, start, end, leading, trailing)
    }

    /** The tokens of a stretch without added ones. */
    private fun pieces(from: Int, to: Int) {
        var prefixed = options.prefixSpace && text.chars[from] != ' '
        var at = from
        while (at < to && out.size < enough) {
            val end = pattern.end(at, to, prefixed)
            run.clear()
            if (prefixed) run.append(' '.code, at)
            while (at < end) {
                run.append(text.codePoint(at), at)
                at = text.next(at)
            }
            run.merge()
            run.forEach { symbol, first, last ->
                take(ids[symbol], first, text.next(last), spaces.leading[symbol], spaces.trailing[symbol])
            }
            prefixed = false
        }
    }

    /** Adds a token that begins and ends with so many spaces. */
    private fun take(id: Int, start: Int, end: Int, leading: Int, trailing: Int) {
        if (!options.trimOffsets) return out.add(id, start, end)
        val keeps = options.trimPrefixed && leading == 1 && (out.size == 0 || start == 0)
        val first = forward(start, if (keeps) 0 else leading, end)
        out.add(id, first, maxOf(back(end, trailing), first))
    }

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
        const val SHOWN_SPACE = '\u0120' // a space as byte-level vocabularies write it
    }
}
