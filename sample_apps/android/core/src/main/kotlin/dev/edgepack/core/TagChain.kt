package dev.edgepack.core

import kotlin.math.exp
import kotlin.math.ln
import kotlin.math.max

/**
 * Scores of a tag behind another, by which the tags of a text's words are decided together: the words are a chain, and
 * each has the tag of the largest marginal probability.
 *
 * The rule step by step: edgepack's docs/bundle.md, "Tags decided together".
 */
class TagChain private constructor(private val factors: Array<DoubleArray>) {
    /** Of tags; as a class id the text's begin, where it is before, and the text's end, where it is behind. */
    private val count = factors.size - 1

    /** Logits of the tags of one text's words, out of the model's: the logarithms of their marginal probabilities. */
    fun read(logits: List<FloatArray>): List<DoubleArray> =
        marginals(logits.map { softmax(it.toDoubles()) })
            .map { row -> DoubleArray(count) { ln(max(row[it], LEAST)) } }

    /** By the forward-backward algorithm, each step divided by its sum; [own] are the words' probabilities. */
    private fun marginals(own: List<DoubleArray>): List<DoubleArray> {
        val forward = ArrayList<DoubleArray>(own.size)
        for (row in own) {
            val last = forward.lastOrNull()
            forward += normal { tag ->
                row[tag] * if (last == null) factors[count][tag] else sum { last[it] * factors[it][tag] }
            }
        }
        val found = ArrayList<DoubleArray>(own.size)
        var backward = DoubleArray(count) { factors[it][count] }
        for (place in own.indices.reversed()) {
            val behind = backward
            found += normal { forward[place][it] * behind[it] }
            backward = normal { tag -> sum { factors[tag][it] * behind[it] * own[place][it] } }
        }
        return found.asReversed()
    }

    private inline fun sum(value: (Int) -> Double): Double {
        var out = 0.0
        for (tag in 0 until count) out += value(tag)
        return out
    }

    /** Values of all tags that add up to 1. */
    private inline fun normal(value: (Int) -> Double): DoubleArray {
        val out = DoubleArray(count) { value(it) }
        val sum = max(out.sum(), LEAST)
        for (tag in out.indices) out[tag] /= sum
        return out
    }

    companion object {
        private const val LEAST = 1e-300 // probability whose logarithm is taken for 0's
        private const val SHOWN = 60 // characters of a pair in a message
        private val PAIR = Regex("([0-9]{1,6}) ([0-9]{1,6}) (-?[0-9]{1,4}(?:\\.[0-9]{1,4})?)")

        /**
         * Of [count] tags, out of a manifest's "before behind score"; every other pair has the score [unseen].
         *
         * [BundleException] where a pair is none, or stands there twice.
         */
        fun of(unseen: Double, pairs: List<String>, count: Int): TagChain {
            val factors = Array(count + 1) { DoubleArray(count + 1) { exp(unseen) } }
            val seen = HashSet<Pair<Int, Int>>()
            for (pair in pairs) {
                val (before, behind, score) = PAIR.matchEntire(pair)?.destructured ?: refuse(pair, count)
                val place = before.toInt() to behind.toInt()
                if (maxOf(place.first, place.second) > count || !seen.add(place)) refuse(pair, count)
                factors[place.first][place.second] = exp(score.toDouble())
            }
            return TagChain(factors)
        }

        private fun refuse(pair: String, count: Int): Nothing = throw BundleException(
            "${BundleManifest.MANIFEST_NAME}: chain: ${pair.take(SHOWN)} is no pair of $count tags and its score, " +
                "or the second of one pair; package the app again",
        )
    }
}
