package dev.edgepack.core

/**
 * Labels of one's own: a model that judges entailment is asked of each label whether the text entails it.
 *
 * @property entailment the place of the label that means it
 * @property contradiction the place of what it is held against; null where no label is that
 */
class Entailment private constructor(private val entailment: Int, private val contradiction: Int?) {
    /** Whether several labels may be true, or there may be one alone. */
    val judgesAlone: Boolean get() = contradiction != null

    /** Whether so many labels can be judged. */
    fun canJudge(count: Int, severalTrue: Boolean): Boolean =
        count > 0 && (contradiction != null || (count > 1 && !severalTrue))

    /** The probability of each label, by the logits of each label's hypothesis. */
    fun scores(rows: List<FloatArray>, severalTrue: Boolean): List<Float> {
        if (!severalTrue && rows.size > 1) {
            return softmax(FloatArray(rows.size) { rows[it][entailment] }).toList()
        }
        val other = requireNotNull(contradiction) { "no label means contradiction" }
        return rows.map { softmax(floatArrayOf(it[other], it[entailment]))[1] }
    }

    companion object {
        private const val ENTAILMENT = "entailment"
        private const val CONTRADICTION = "contradiction"
        private const val MOST = 3

        /** By the names of the labels; null where the model judges no entailment. */
        fun of(manifest: BundleManifest): Entailment? {
            val names = manifest.labels.map { it.trim().lowercase() }
            val fits = !manifest.labelsWords && manifest.pair && manifest.thresholds == null && names.size in 2..MOST
            if (!fits || names.count { it == ENTAILMENT } != 1) return null
            val place = names.indexOf(ENTAILMENT)
            val other = if (names.size == 2) 1 - place else names.indexOf(CONTRADICTION)
            return Entailment(place, other.takeIf { it >= 0 })
        }

        /** What a text is to entail where it is of [label]. */
        fun hypothesis(label: String): String = "This example is $label."
    }
}
