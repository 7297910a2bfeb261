package dev.edgepack.core.unigram

import dev.edgepack.core.LetterModel
import dev.edgepack.core.TrimmedTokens
import dev.edgepack.core.encodeUtf8
import dev.edgepack.core.normalizer.Letters

/**
 * SentencePiece's Unigram model (Kudo 2018, arXiv:1804.10959): the most likely split of each stretch into pieces.
 *
 * It is found as Viterbi did (1967): the best way to each place, its score a sum in 64 bits from the left. Of equal
 * sums the one found first stays, which begins earlier, so that every platform splits alike.
 *
 * @property scores the logarithmic probability of each piece
 * @property byteIds the pieces of single bytes, for characters that are no piece; null where they are just unknown
 */
internal class UnigramModel(
    private val trie: PieceTrie,
    private val scores: DoubleArray,
    private val unknownId: Int,
    private val byteIds: IntArray?,
    private val splitting: List<Splitting>,
) : LetterModel {
    private val unknownScore = (scores.minOrNull() ?: 0.0) - PENALTY
    private val behind = List(splitting.size) { step ->
        StretchUser { letters, from, to -> split(step + 1, letters, from, to) }
    }
    private var sums = DoubleArray(INITIAL)
    private var starts = IntArray(INITIAL) // of the last piece on the way to each place; NONE where there is no way yet
    private var ids = IntArray(INITIAL) // of that piece
    private var ends = IntArray(INITIAL) // of the piece that begins at each place
    private lateinit var out: TrimmedTokens

    override fun tokens(letters: Letters, from: Int, to: Int, out: TrimmedTokens) {
        this.out = out
        split(0, letters, from, to)
    }

    /** What the steps of the pre-tokenizer from [step] on make of a stretch. */
    private fun split(step: Int, letters: Letters, from: Int, to: Int) {
        if (out.isFull) return
        if (step < splitting.size) splitting[step].split(letters, from, to, behind[step]) else pieces(letters, from, to)
    }

    /** The most likely pieces; unknown ones side by side are one token, or their known bytes. */
    private fun pieces(letters: Letters, from: Int, to: Int) {
        findWays(letters.points, from, to - from)
        turnRound(to - from)
        var at = 0
        while (at < to - from) {
            val id = ids[at]
            var end = ends[at]
            if (id != unknownId) {
                out.take(id, letters, from + at, from + end, from + at, from + end)
            } else {
                while (end < to - from && ids[end] == unknownId) end = ends[end]
                unknown(letters, from + at, from + end)
            }
            at = end
        }
    }

    /** The best way to each of [count] places. */
    private fun findWays(points: IntArray, from: Int, count: Int) {
        grow(count + 1)
        sums[0] = 0.0
        starts.fill(PieceTrie.NONE, 0, count + 1)
        for (start in 0 until count) {
            var node = 0
            var end = start
            var isKnown = false
            while (end < count) {
                node = trie.child(node, points[from + end++])
                if (node == PieceTrie.NONE) break
                val id = trie.id(node)
                if (id == PieceTrie.NONE) continue
                if (end == start + 1) isKnown = true
                offer(start, end, scores[id] + sums[start], id)
            }
            if (!isKnown) offer(start, start + 1, unknownScore + sums[start], unknownId)
        }
    }

    private fun offer(start: Int, end: Int, sum: Double, id: Int) {
        if (starts[end] != PieceTrie.NONE && sum <= sums[end]) return
        sums[end] = sum
        starts[end] = start
        ids[end] = id
    }

    /** Says of each place on the best way where the piece that begins there ends, and which it is. */
    private fun turnRound(count: Int) {
        var end = count
        var id = ids[end]
        while (end > 0) {
            val start = starts[end]
            val before = ids[start] // of the piece that ends here
            ends[start] = end
            ids[start] = id
            id = before
            end = start
        }
    }

    /** What is unknown, or joined of unknown parts to what may be a piece after all. */
    private fun unknown(letters: Letters, from: Int, to: Int) {
        val id = trie.find(letters.points, from, to)
        if (id == PieceTrie.NONE && byteIds != null && hasBytes(letters.points, from, to, byteIds)) {
            for (at in from until to) {
                encodeUtf8(letters.points[at]) { out.take(byteIds[it], letters, from, to, from, to) }
            }
        } else {
            out.take(if (id == PieceTrie.NONE) unknownId else id, letters, from, to, from, to)
        }
    }

    /** Whether every byte of these is a piece. */
    private fun hasBytes(points: IntArray, from: Int, to: Int, byteIds: IntArray): Boolean {
        for (at in from until to) encodeUtf8(points[at]) { if (byteIds[it] == PieceTrie.NONE) return false }
        return true
    }

    private fun grow(needed: Int) {
        if (needed <= starts.size) return
        val room = maxOf(needed, starts.size * 2)
        sums = DoubleArray(room)
        starts = IntArray(room)
        ids = IntArray(room)
        ends = IntArray(room)
    }

    private companion object {
        const val PENALTY = 10.0 // below the lowest score: that of an unknown character
        const val INITIAL = 64
    }
}
