package dev.edgepack.core

import dev.edgepack.core.normalizer.Letters

/**
 * Byte-level byte pair encoding, GPT-2's and RoBERTa's: pieces, their bytes and the bytes' merges.
 *
 * @property prefixSpace a space is thought before each stretch that does not begin with one
 */
internal class BytePairModel(
    table: UnicodeTable,
    merges: MergeTable,
    private val ids: IntArray,
    private val prefixSpace: Boolean,
) : LetterModel {
    private val spaces = SymbolSpaces(merges, ids.size)
    private val run = SymbolRun(merges)
    private val pattern = PiecePattern(table)

    override fun tokens(letters: Letters, from: Int, to: Int, out: TrimmedTokens) {
        var prefixed = prefixSpace && letters.points[from] != ' '.code
        var at = from
        while (at < to && !out.isFull) {
            val end = pattern.end(letters.points, at, to, prefixed)
            run.clear()
            if (prefixed) run.append(' '.code, at)
            while (at < end) {
                run.append(letters.points[at], at)
                at++
            }
            run.merge()
            run.forEach { symbol, first, last ->
                val start = letters.starts[first]
                out.take(ids[symbol], start, letters.ends[last], spaces.leading[symbol], spaces.trailing[symbol])
            }
            prefixed = false
        }
    }
}
