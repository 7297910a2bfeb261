package dev.edgepack.core

import java.io.File

/** A place in the frame around a text: a special token (kind 0), the first text (1) or the second (2). */
internal class Piece(val kind: Int, val id: Int, val typeId: Int)

/**
 * A tokenizer over an edgepack `tokenizer.bin`: the same ids and offsets as the Hugging Face fast tokenizer.
 *
 * The asset says which: BERT's WordPiece ([WordPieceScanner]), byte-level BPE ([BytePairModel]) or SentencePiece's
 * Unigram ([dev.edgepack.core.unigram.UnigramModel]).
 *
 * Buffers are used again from call to call: share one instance between threads only under a lock.
 */
class Tokenizer internal constructor(
    private val scanner: TextScanner,
    table: UnicodeTable,
    private val single: List<Piece>,
    private val double: List<Piece>,
    val vocabularySize: Int,
) {
    private val first = TokenBuffer()
    private val second = TokenBuffer()
    private val nothing = TokenBuffer()
    private val finder = WordFinder(table)

    /**
     * Encodes [text] and perhaps [pair], cut to [maxLength] tokens, the longer text first; where it is to stay [whole],
     * since windows of that length read it, only a pair's shorter text may be cut.
     */
    fun encode(text: String, pair: String? = null, maxLength: Int = Int.MAX_VALUE, whole: Boolean = false): Encoding {
        val frame = if (pair == null) single else double
        val room = maxLength - frame.count { it.kind == SPECIAL }
        require(room >= 0) { "maxLength is $maxLength; the special tokens alone are ${maxLength - room}" }
        if (pair == null) {
            val wanted = if (whole) Int.MAX_VALUE else room
            scanner.scan(text, first, enough = wanted)
            first.cut(wanted)
            return fill(frame, first, nothing)
        }
        scanner.scan(text, first, Int.MAX_VALUE)
        scanner.scan(pair, second, Int.MAX_VALUE)
        if (whole) cutShorter(room) else cutLongerFirst(room)
        return fill(frame, first, second)
    }

    /** The words of [text], which [encoding] is of: what a label of token classification stands for. */
    fun words(text: String, encoding: Encoding): List<Word> = finder.find(text, encoding)

    /** The reference's rule for a pair: the longer text gives way first; if both are too long, each has half. */
    private fun cutLongerFirst(room: Int) {
        if (first.size + second.size <= room) return
        val firstIsShorter = first.size <= second.size
        var short = minOf(first.size, second.size)
        var long = if (short > room) short else maxOf(short, room - short)
        if (short + long > room) {
            short = room / 2
            long = short + room % 2
        }
        first.cut(if (firstIsShorter) short else long)
        second.cut(if (firstIsShorter) long else short)
    }

    /** What windows read of a pair: all of the longer text, of the shorter at most half of the room. */
    private fun cutShorter(room: Int) {
        if (first.size + second.size <= room) return
        val shorter = if (first.size <= second.size) first else second
        shorter.cut(minOf(shorter.size, room / 2))
    }

    private fun fill(frame: List<Piece>, first: TokenBuffer, second: TokenBuffer): Encoding {
        val size = frame.sumOf { if (it.kind == SPECIAL) 1 else if (it.kind == FIRST) first.size else second.size }
        val out = Encoding(IntArray(size), IntArray(size), IntArray(size), IntArray(size), IntArray(size))
        var at = 0
        for (piece in frame) {
            val from = at
            if (piece.kind == SPECIAL) {
                out.ids[at] = piece.id
                out.sequences[at++] = NO_TEXT
            } else {
                at = copy(if (piece.kind == FIRST) first else second, out, at)
                out.sequences.fill(piece.kind - FIRST, from, at)
            }
            out.typeIds.fill(piece.typeId, from, at)
        }
        return out
    }

    private fun copy(tokens: TokenBuffer, out: Encoding, at: Int): Int {
        tokens.ids.copyInto(out.ids, at, 0, tokens.size)
        tokens.starts.copyInto(out.starts, at, 0, tokens.size)
        tokens.ends.copyInto(out.ends, at, 0, tokens.size)
        return at + tokens.size
    }

    companion object {
        internal const val SPECIAL = 0
        internal const val FIRST = 1
        private const val NO_TEXT = -1

        /** The tokenizer in a `tokenizer.bin`; [BundleException] where it is none or damaged. */
        fun load(file: File): Tokenizer = readTokenizer(file.readBytes())
    }
}
