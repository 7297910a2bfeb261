import dev.edgepack.core.BundleManifest
import dev.edgepack.core.Encoding
import dev.edgepack.core.ModelRuntime
import dev.edgepack.core.ModelSession
import java.io.File

/** For the example of the library's README: gives the logits that golden.jsonl has for the same ids, NaN for others. */
object MyRuntime : ModelRuntime {
    override val name = "goldens"
    override val id = "onnxruntime"

    private val line = Regex("\"input_ids\": ?\\[([^]]*)].*\"logits\": ?\\[([^]]*)]")

    override fun load(model: File, manifest: BundleManifest): ModelSession {
        val lines = File(model.parentFile.parentFile, "golden.jsonl").readLines().mapNotNull(line::find)
        val known = lines.associate { numbers(it, 1).map(String::toInt) to numbers(it, 2).map(String::toFloat).toFloatArray() }
        return object : ModelSession {
            override fun run(encoding: Encoding): FloatArray =
                known[encoding.ids.toList()] ?: FloatArray(manifest.labels.size) { Float.NaN }

            override fun close() = Unit
        }
    }

    private fun numbers(found: MatchResult, group: Int) = found.groupValues[group].split(",").map(String::trim)
}
