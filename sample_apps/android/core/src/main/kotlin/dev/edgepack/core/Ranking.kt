package dev.edgepack.core

import kotlin.math.sqrt

/** A text and how well it suits a query: the cosine of their vectors, or the score of the two as a pair. */
class RankedText(val text: String, val score: Double)

/** The best first, equal ones as they were given. */
fun ranked(texts: List<String>, scores: List<Double>): List<RankedText> =
    texts.indices.map { RankedText(texts[it], scores[it]) }.sortedByDescending { it.score }

/** What a model that embeds was trained with before a search's [query] and before each [text]; empty: nothing. */
data class Prompts(val query: String = "", val text: String = "") {
    /** The query behind its prompt, unless it stands there. */
    fun ofQuery(text: String): String = if (text.startsWith(query)) text else query + text

    /** Another text behind its prompt, likewise. */
    fun ofText(text: String): String = if (text.startsWith(this.text)) text else this.text + text
}

/** The cosine of two vectors; 0 where one has no length. */
fun cosine(a: FloatArray, b: FloatArray): Double {
    val lengths = sqrt(dot(a, a) * dot(b, b))
    return if (lengths > 0) dot(a, b) / lengths else 0.0
}

private fun dot(a: FloatArray, b: FloatArray): Double = a.indices.sumOf { a[it].toDouble() * b[it] }

/** What a person has written into a list, one on a line: each once, without the spaces around it. */
fun readList(text: String): List<String> = text.lines().map { it.trim() }.filter { it.isNotEmpty() }.distinct()
