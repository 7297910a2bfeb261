package dev.edgepack.runtime

import dev.edgepack.core.BundleException
import dev.edgepack.core.BundleManifest
import dev.edgepack.core.ModelSession
import dev.edgepack.core.TextClassifier
import dev.edgepack.core.Tokenizer
import dev.edgepack.core.cosine
import dev.edgepack.core.labelSet
import dev.edgepack.core.run
import java.io.File
import kotlin.io.path.createTempDirectory
import kotlin.io.path.createTempFile
import kotlin.math.abs
import kotlin.math.sqrt
import kotlin.test.Test
import kotlin.test.assertEquals
import kotlin.test.assertFailsWith
import kotlin.test.assertTrue

/**
 * The app's whole path on a desktop JVM, ONNX Runtime's own Java library and a real model included.
 *
 * Bundles, or the assets of a packaged app, come from the system property `edgepack.bundles` (folders joined by `:`).
 */
class OnnxGoldenTest {
    private val bundles =
        System.getProperty("edgepack.bundles").orEmpty().split(':').filter { it.isNotEmpty() }.map(::File)

    @Test
    fun everyGoldenHasItsLogitsAndLabel() {
        assertTrue(bundles.isNotEmpty(), "give bundles with -Dedgepack.bundles=…")
        for (bundle in bundles) check(bundle)
    }

    private fun check(bundle: File) {
        val manifest = BundleManifest.parse(File(bundle, BundleManifest.MANIFEST_NAME).readText())
        val tokenizer = Tokenizer.load(File(bundle, manifest.tokenizer.path))
        var lines = 0
        var sameLabel = 0
        var worst = 0.0
        val goldens = goldens(bundle)
        val usual = sqrt(goldens.flatMap { it.logits }.map { it * it }.average())
        PackagedRuntime.load(File(bundle, manifest.model.path), manifest).use { session ->
            for (golden in goldens) {
                val encoding = tokenizer.encode(golden.text, golden.pair, manifest.maxLength, manifest.windows != null)
                val logits = session.run(encoding, manifest)
                assertEquals(golden.logits.size, logits.size)
                val largest = maxOf(usual, golden.logits.maxOf { abs(it) })
                val error = logits.indices.maxOf { abs(logits[it] - golden.logits[it]) } / largest
                assertTrue(error <= TOLERANCE, "$bundle, line ${lines + 1}: logits differ by $error of the largest or usual")
                worst = maxOf(worst, error)
                if (golden.labels == decide(logits, manifest)) sameLabel++
                lines++
            }
        }
        val percent = "%.2f %%".format(100 * worst)
        println("goldens: $bundle: $lines run, $sameLabel with the same labels, logits within $percent of the largest or usual")
        assertTrue(lines > 0)
        assertTrue(sameLabel >= lines * SAME_LABELS, "only $sameLabel of $lines goldens have the same labels")
    }

    private fun decide(logits: FloatArray, manifest: BundleManifest): List<String> {
        val labels = manifest.labels
        if (manifest.vectorSize != null || manifest.activation != null) return emptyList()
        manifest.thresholds?.let { limits ->
            val found = labelSet(logits, labels, limits).map { it.label }
            return labels.filter { it in found }
        }
        return logits.asList().chunked(labels.size).map { row -> labels[row.indices.maxBy { row[it] }] }
    }

    @Test
    fun theUnpackedModelGivesTheSameBits() {
        for (bundle in bundles) {
            val manifest = BundleManifest.parse(File(bundle, BundleManifest.MANIFEST_NAME).readText())
            val tokenizer = Tokenizer.load(File(bundle, manifest.tokenizer.path))
            val model = File(bundle, manifest.model.path)
            val cache = createTempDirectory().toFile()
            fun answers(load: () -> ModelSession) = load().use { session ->
                goldens(bundle).map { golden ->
                    val whole = manifest.windows != null
                    session.run(tokenizer.encode(golden.text, golden.pair, manifest.maxLength, whole), manifest).asList()
                }
            }
            val expected = answers { PackagedRuntime.load(model, manifest) }
            repeat(2) { assertEquals(expected, answers { PackagedRuntime.load(model, manifest, cache) }, "$bundle") }
            val kept = cache.walk().filter(File::isFile).toList()
            println("unpacked: $bundle: ${model.length()} bytes kept as ${kept.sumOf(File::length)}")
            val weights = kept.single { it.name == UnpackedModel.WEIGHTS }
            weights.writeBytes(weights.readBytes().also { it[it.size / 2]++ })
            assertEquals(expected, answers { PackagedRuntime.load(model, manifest, cache) }, "$bundle, damaged")
            cache.deleteRecursively()
        }
    }

    @Test
    fun theAppsOwnCallGivesAPrediction() {
        for (bundle in bundles) {
            val manifest = BundleManifest.parse(File(bundle, BundleManifest.MANIFEST_NAME).readText())
            val files = listOf(manifest.tokenizer, manifest.model).map { File(bundle, it.path) }
            TextClassifier.load(manifest, files[0], files[1], PackagedRuntime, createTempDirectory().toFile()).use { classifier ->
                val text = goldens(bundle).first().text
                if (manifest.vectorSize != null) return@use checkSearch(classifier, goldens(bundle).take(SEARCHED))
                val prediction = classifier.classify(text)
                assertTrue(prediction.isSet || prediction.score != null || prediction.labels.isNotEmpty() != manifest.labelsWords)
                assertTrue(prediction.entities.all { it.start in 0 until it.end && it.end <= text.length })
            }
        }
    }

    private fun checkSearch(classifier: TextClassifier, goldens: List<Golden>) {
        val texts = goldens.map { it.text }.distinct()
        for (query in goldens.take(QUERIES)) {
            val found = classifier.rank(query.text, texts).found!!
            assertEquals(texts.toSet(), found.map { it.text }.toSet())
            for (each in found) {
                val expected = cosine(vector(query), vector(goldens.first { it.text == each.text }))
                assertEquals(expected, each.score, COSINES)
            }
            assertEquals(query.text, found[0].text)
        }
        assertEquals(texts, classifier.keptTexts)
    }

    private fun vector(golden: Golden) = golden.logits.map { it.toFloat() }.toFloatArray()

    @Test
    fun aFileThatIsNoModelIsAClearError() {
        val file = createTempFile().toFile().apply { writeText("no model") }
        val manifest = BundleManifest.parse(File(bundles[0], BundleManifest.MANIFEST_NAME).readText())
        val error = assertFailsWith<BundleException> { PackagedRuntime.load(file, manifest) }
        assertTrue("ONNX Runtime refuses the model" in error.message, error.message)
        file.delete()
    }

    private companion object {
        const val TOLERANCE = 0.15 // of the largest or the usual logit: CPUs round differently (docs/bundle.md of edgepack)
        const val COSINES = 0.02 // how far they may be from Python's
        const val SEARCHED = 12
        const val QUERIES = 4
        const val SAME_LABELS = 0.97 // where two labels are close, rounding decides
    }
}
