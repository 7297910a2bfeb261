package dev.edgepack.runtime

import dev.edgepack.core.Json
import java.io.File

/** What a golden line says of the model; for tokens, logits row by row and a label for each token. */
class Golden(val text: String, val pair: String?, val logits: List<Double>, val labels: List<String>)

/** The golden lines of a bundle. */
fun goldens(bundle: File): List<Golden> = File(bundle, "golden.jsonl").readLines().map { line ->
    val fields = Json.parse(line) as Map<*, *>
    Golden(
        text = fields["text"] as String,
        pair = fields["pair"] as String?,
        logits = flat(fields["logits"]).map { (it as Number).toDouble() },
        labels = flat(fields["label"]).map { it as String },
    )
}

private fun flat(value: Any?): List<Any?> = if (value is List<*>) value.flatMap(::flat) else listOf(value)
