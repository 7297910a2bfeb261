package dev.edgepack.core

import kotlin.math.exp

/** A label and its probability. */
class ScoredLabel(val label: String, val probability: Float)

/** A stretch of the text, UTF-16 `[start, end)`; as probable as its least probable word. */
class Entity(val type: String, val start: Int, val end: Int, val probability: Float)

/**
 * What the model says of a text: [labels] for the whole text, the likeliest first, or [entities] in it.
 *
 * @property tagsEachWord whether the entities are all words, each with its tag, as parts of speech are
 * @property found texts in the order that they suit a query, the best first; null where none were ranked
 * @property isSure whether the likeliest of [labels] is the answer, and not a guess
 * @property isSet whether a text has a set of labels: [labels] are those of the set, and there may be none
 * @property score the number of a text that has one, which the manifest's label names; else null
 */
class Prediction(
    val labels: List<ScoredLabel>,
    val entities: List<Entity>,
    val tokens: Int,
    val tokenizeNanos: Long,
    val modelNanos: Long,
    val tagsEachWord: Boolean = false,
    val isSet: Boolean = false,
    val score: Double? = null,
    val isSure: Boolean = true,
    val found: List<RankedText>? = null,
)

/** The probability of a label that is a question of its own. */
fun sigmoid(logit: Float): Double = 1 / (1 + exp(-logit.toDouble()))

/** The score that a logit is, by a manifest's [activation]. */
fun scoreOf(logit: Float, activation: String): Double =
    if (activation == BundleManifest.SIGMOID) sigmoid(logit) else logit.toDouble()

/** The labels of a set: each whose probability is at its threshold or above, the likeliest first. */
fun labelSet(logits: FloatArray, labels: List<String>, thresholds: List<Double>): List<ScoredLabel> =
    labels.indices.filter { sigmoid(logits[it]) >= thresholds[it] }
        .map { ScoredLabel(labels[it], sigmoid(logits[it]).toFloat()) }
        .sortedByDescending { it.probability }

/** Whether the likeliest label is probable enough to be the answer; in double precision, as the manifest's figure is. */
fun isSure(logits: FloatArray, manifest: BundleManifest): Boolean {
    val least = manifest.minConfidence ?: return true
    val largest = logits.max().toDouble()
    return 1 / logits.sumOf { exp((it - largest) / manifest.temperature) } >= least
}

/** Probabilities out of logits at a manifest's temperature; the largest is subtracted first, so that none overflows. */
fun softmax(logits: FloatArray, temperature: Float = 1f): FloatArray {
    val shares = softmax(logits.toDoubles(), temperature.toDouble())
    return FloatArray(shares.size) { shares[it].toFloat() }
}

/** The same in double precision. */
fun softmax(logits: DoubleArray, temperature: Double = 1.0): DoubleArray {
    val largest = logits.max()
    val out = DoubleArray(logits.size) { exp((logits[it] - largest) / temperature) }
    val sum = out.sum()
    for (i in out.indices) out[i] /= sum
    return out
}

internal fun FloatArray.toDoubles(): DoubleArray = DoubleArray(size) { this[it].toDouble() }
