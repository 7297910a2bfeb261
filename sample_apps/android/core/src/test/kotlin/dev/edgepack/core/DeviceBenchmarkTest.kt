package dev.edgepack.core

import java.io.File
import kotlin.io.path.createTempDirectory
import kotlin.test.AfterTest
import kotlin.test.Test
import kotlin.test.assertEquals
import kotlin.test.assertFailsWith
import kotlin.test.assertTrue

class DeviceBenchmarkTest {
    private val folder = createTempDirectory().toFile()
    private val asset = File(Goldens.folders[0], "tokenizer.bin")
    private val asked = ArrayList<Int>()
    private val facts = object : DeviceFacts {
        override val device = "a \"phone\"\n\uD83D\uDE00"
        override val os = "an OS 1"
        override val app = "dev.test 1.0"
        override fun thermal() = Thermal.FAIR
    }

    @AfterTest
    fun deleteFolder() {
        folder.deleteRecursively()
    }

    private fun manifest(maxLength: Int) = BundleManifest.parse(
        """{"schema": 1, "task": "text-classification", "labels": ["a", "b"], "max_length": $maxLength, "padding": {"id": 0},
        "inputs": [{"name": "input_ids", "shape": ["batch", "seq"]}], "target": "android-onnx",
        "runtime": {"name": "fake", "min_version": "1"}, "files": [${file("tokenizer.bin")}, ${file("m.onnx")}],
        "shipped_bytes": 2, "metrics": {}, "teacher": {"name": "t"}}""",
    )

    private fun file(path: String) = """{"path": "$path", "bytes": 1, "sha256": "${"5".repeat(64)}", "shipped": true}"""

    /** Gives [logits] for every text. */
    private fun runtime(vararg logits: Float) = object : ModelRuntime {
        override val name = "Fake"
        override val id = "fake"
        override val version = "1.2"
        override fun load(model: File, manifest: BundleManifest) = object : ModelSession {
            override fun run(encoding: Encoding): FloatArray = logits.also { asked += encoding.size }
            override fun close() = Unit
        }
    }

    private fun golden(text: String, logits: String, ids: Int = 0): String {
        val encoding = Tokenizer.load(asset).encode(text, maxLength = 32)
        val spans = encoding.starts.zip(encoding.ends).map { (start, end) -> "[$start, $end]" }
        return """{"text": "$text", "input_ids": ${encoding.ids.map { it + ids }}, "token_type_ids": ${encoding.typeIds.asList()},
            "offsets_utf16": $spans, "logits": $logits}""".lines().joinToString(" ")
    }

    private fun measure(goldens: List<String>, maxLength: Int = 32) =
        DeviceBenchmark(manifest(maxLength), runtime(1f, -1f), facts, listOf(16, 32, 64), runs = 4)
            .measure(asset, File(folder, "m.onnx"), goldens)

    @Test
    fun everyLengthIsTimedInTurnAndTheReportHasItAll() {
        val report = measure(listOf(golden("good", "[1.0, -1.0]")))
        assertEquals(listOf(16) + List(7) { listOf(16, 32) }.flatten(), asked.dropLast(1)) // the first, three and four rounds
        val read = Json.parse(report.toJson()) as Map<*, *>
        assertEquals(facts.device, read["device"])
        assertEquals(listOf("fake 1.2", "5".repeat(64), "fair"), listOf("runtime", "artifact_sha256", "thermal").map(read::get))
        assertEquals(listOf(1L, 1L, 1L, 4L), listOf("schema", "goldens", "goldens_passed", "runs").map(read::get))
        for (key in listOf("p50_ms", "p95_ms")) assertEquals(setOf("16", "32"), (read[key] as Map<*, *>).keys)
        assertTrue(report.p50Ms.all { (tokens, ms) -> ms > 0 && ms <= report.p95Ms.getValue(tokens) })
        assertTrue(report.loadMs > 0 && report.firstMs > 0)
        assertTrue(report.residentBytes in 1_000_000..report.peakBytes)
    }

    @Test
    fun aShortModelIsTimedAtItsOwnLength() {
        assertEquals(setOf(8), measure(emptyList(), maxLength = 8).p50Ms.keys)
    }

    @Test
    fun otherTokensAndOtherLogitsDoNotPass() {
        val right = golden("good", "[1.1, -0.95]")
        val report = measure(listOf(right, golden("good", "[1.0, -1.0]", ids = 1), golden("good", "[1.0, -1.0, 0.0]")))
        assertEquals(3 to 1, report.goldens to report.goldensPassed)
        assertEquals(0, measure(listOf(golden("good", "[0.9, -1.2]"))).goldensPassed)
        assertEquals(0, measure(List(2) { golden("good", "[1.1, -1.1]") }).goldensPassed, "each near, all together not")
    }

    @Test
    fun percentilesLieBetweenValues() {
        assertEquals(listOf(2.5, 4.0, 1.0, 1.75), listOf(0.5, 1.0, 0.0, 0.25).map { percentile(listOf(4.0, 1.0, 3.0, 2.0), it) })
    }

    @Test
    fun theWarmestStateCounts() {
        assertEquals(Thermal.SERIOUS, Thermal.NOMINAL or Thermal.SERIOUS)
        assertEquals(Thermal.UNKNOWN, Thermal.FAIR or Thermal.UNKNOWN)
        assertEquals(Thermal.CRITICAL, Thermal.UNKNOWN or Thermal.CRITICAL)
    }

    @Test
    fun memoryIsReadFromTheSystemsOwnLines() {
        val memory = ProcessMemory.read(listOf("Name:\tx", "VmHWM:\t    2048 kB", "VmRSS:\t  1024 kB"))
        assertEquals(1_048_576L to 2_097_152L, memory.residentBytes to memory.peakBytes)
        assertFailsWith<BundleException> { ProcessMemory.read(listOf("VmRSS: 1 kB")) }
    }
}
