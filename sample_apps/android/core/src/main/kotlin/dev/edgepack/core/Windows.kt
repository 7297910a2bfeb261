package dev.edgepack.core

/**
 * How texts with more tokens than the model takes are read whole: windows that overlap, and one answer out of theirs.
 *
 * The rule step by step: edgepack's docs/bundle.md, "Windows".
 *
 * @property overlap tokens, at most half of the longest input
 * @property combine [INNER] for labels of words, [MEAN] or [MAX] for labels of texts
 */
class Windows(val overlap: Int, val combine: String) {
    companion object {
        const val INNER = "inner"
        const val MEAN = "mean"
        const val MAX = "max"
    }
}

/** The logits of a text of any length: of a long one those of its windows together. */
fun ModelSession.run(encoding: Encoding, manifest: BundleManifest): FloatArray {
    val windows = manifest.windows
    if (windows == null || encoding.size <= manifest.inputLength) return run(encoding)
    val spans = windowSpans(encoding.sequences, manifest.inputLength, windows.overlap)
    val found = spans.map { run(encoding.window(spans, it)) }
    return combineWindows(found, spans, encoding.size, manifest.labels.size, windows.combine)
}

/** First and last token of each window, in the part of the tokens that is cut into windows; one if the text is short. */
fun windowSpans(sequences: IntArray, maxLength: Int, overlap: Int): List<IntRange> {
    val part = part(sequences)
    if (sequences.size <= maxLength) return listOf(part)
    val size = part.last - part.first + 1
    val room = maxLength - (sequences.size - size)
    if (room < 1) throw BundleException("windows of $maxLength tokens have no room for a text; package the app again")
    val step = room - minOf(overlap, room / 2)
    val last = part.last + 1 - room
    return (part.first until last step step).plus(last).map { it until it + room }
}

/** The tokens of the longer text, of equals the second. */
private fun part(sequences: IntArray): IntRange {
    val (first, second) = List(2) { text ->
        val start = sequences.indexOf(text)
        if (start < 0) 0..-1 else start..sequences.lastIndexOf(text)
    }
    return if (!second.isEmpty() && second.last - second.first >= first.last - first.first) second else first
}

/** What the model gets of a window: all tokens but those of the part that are outside of it. */
fun Encoding.window(spans: List<IntRange>, span: IntRange): Encoding {
    fun take(values: IntArray) = values.copyOfRange(0, spans.first().first) + values.sliceArray(span) +
        values.copyOfRange(spans.last().last + 1, size)
    return Encoding(take(ids), take(typeIds), take(starts), take(ends), take(sequences))
}

/** The logits of a text of [count] tokens from those [found] in its windows; [columns]: the number of labels. */
fun combineWindows(found: List<FloatArray>, spans: List<IntRange>, count: Int, columns: Int, combine: String): FloatArray {
    if (spans.size == 1) return found[0]
    if (combine == Windows.INNER) return nearest(found, spans, count, columns)
    return FloatArray(columns) { label ->
        if (combine == Windows.MAX) found.maxOf { it[label] } else found.map { it[label].toDouble() }.average().toFloat()
    }
}

/** Each token's row from the window whose middle is nearest, of two the first one's. */
private fun nearest(found: List<FloatArray>, spans: List<IntRange>, count: Int, columns: Int): FloatArray {
    val from = spans.first().first
    val to = spans.last().last + 1
    val out = FloatArray(count * columns)
    var number = 0
    for (token in 0 until count) {
        while (number + 1 < spans.size && token >= (spans[number].last + spans[number + 1].first + 2) / 2) number++
        val span = spans[number]
        val row = when {
            token < from -> token
            token < to -> from + token - span.first
            else -> from + span.last + 1 - span.first + token - to
        }
        found[number].copyInto(out, token * columns, row * columns, (row + 1) * columns)
    }
    return out
}
