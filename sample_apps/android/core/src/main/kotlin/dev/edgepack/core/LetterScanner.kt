package dev.edgepack.core

import dev.edgepack.core.normalizer.Letters
import dev.edgepack.core.normalizer.Normalizer

/** Finds the tokens of letters that hold no added ones. Not for two threads at once. */
internal interface LetterModel {
    /** Adds the tokens of `letters[from, to)`, which is not empty, to [out]; stops soon after that is full. */
    fun tokens(letters: Letters, from: Int, to: Int, out: TrimmedTokens)
}

/**
 * Reads a text as the library does: added tokens, normalization of what is between them, the other added tokens in
 * what that gives, then the [model]'s own.
 *
 * Nothing is allocated for a text but larger buffers, where they are too short. Not for two threads at once.
 */
internal class LetterScanner(
    table: UnicodeTable,
    added: List<AddedToken>,
    private val normalizer: Normalizer,
    private val model: LetterModel,
    offsets: OffsetOptions,
) : TextScanner {
    private val early = AddedTokens(added.filter { !it.isLate }, table)
    private val late = AddedTokens(added.filter { it.isLate }, table)
    private val text = SourceText()
    private val whole = Letters()
    private val out = TrimmedTokens(table, text, offsets)

    override fun scan(input: String, output: TokenBuffer, enough: Int) {
        text.load(input)
        whole.load(text)
        out.begin(output, enough)
        early.split(whole, 0, whole.size, out) { from, to -> stretch(from, to) }
    }

    private fun stretch(from: Int, to: Int) {
        if (normalizer.isEmpty) return between(whole, from, to)
        val letters = normalizer.normalized(whole, from, to)
        between(letters, 0, letters.size)
    }

    private fun between(letters: Letters, from: Int, to: Int) {
        late.split(letters, from, to, out) { first, end -> model.tokens(letters, first, end, out) }
    }
}
