package dev.edgepack.runtime

import dev.edgepack.core.Json
import java.io.File

/** What a golden line says of the model; for tokens, logits row by row and a label for each token; or a label set. */
class Golden(val text: String, val pair: String?, val logits: List<Double>, val labels: List<String>)

/** The golden lines of a bundle; assets have none: those of an app come from the system property `edgepack.goldens`. */
fun goldens(bundle: File): List<Golden> = goldenFile(bundle).readLines().map { line ->
    val fields = Json.parse(line) as Map<*, *>
    Golden(
        text = fields["text"] as String,
        pair = fields["pair"] as String?,
        logits = flat(fields["logits"]).map { (it as Number).toDouble() },
        labels = (fields["labels"] ?: fields["label"])?.let(::flat).orEmpty().map { it as String },
    )
}

internal fun goldenFile(bundle: File): File =
    File(bundle, NAME).takeIf { it.isFile }
        ?: File(System.getProperty("edgepack.goldens") ?: error("$bundle has no $NAME"), NAME)

private const val NAME = "golden.jsonl"

private fun flat(value: Any?): List<Any?> = if (value is List<*>) value.flatMap(::flat) else listOf(value)
