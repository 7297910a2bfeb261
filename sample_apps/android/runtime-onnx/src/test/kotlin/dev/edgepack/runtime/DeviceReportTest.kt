package dev.edgepack.runtime

import dev.edgepack.core.BundleManifest
import dev.edgepack.core.DeviceBenchmark
import dev.edgepack.core.DeviceFacts
import dev.edgepack.core.Thermal
import java.io.File
import kotlin.test.Test
import kotlin.test.assertEquals
import kotlin.test.assertTrue

/**
 * The device report of this computer: the code that measures on a phone, over ONNX Runtime's own Java library.
 *
 * It is written where the system property `edgepack.report` says, if it says so, and of the first of the bundles.
 */
class DeviceReportTest {
    private val bundle = File(System.getProperty("edgepack.bundles").orEmpty().substringBefore(':'))
    private val facts = object : DeviceFacts {
        override val device = "a computer, ${System.getProperty("os.arch")}"
        override val os = "${System.getProperty("os.name")} ${System.getProperty("os.version")}"
        override val app = "JVM ${System.getProperty("java.version")}"
        override fun thermal() = Thermal.UNKNOWN // no call of Java's says it
    }

    @Test
    fun everyGoldenPassesAndEveryTimeIsThere() {
        val manifest = BundleManifest.parse(File(bundle, BundleManifest.MANIFEST_NAME).readText())
        val report = DeviceBenchmark(manifest, PackagedRuntime, facts)
            .measure(File(bundle, manifest.tokenizer.path), File(bundle, manifest.model.path), goldenFile(bundle).readLines())
        assertTrue(report.goldens > 0)
        assertEquals(report.goldens, report.goldensPassed)
        val counts = listOf(16, 32, 64, 128).filter { it <= manifest.inputLength }.ifEmpty { listOf(manifest.inputLength) }
        assertEquals(counts.toSet(), report.p50Ms.keys)
        System.getProperty("edgepack.report")?.let { File(it).writeText(report.toJson()) }
    }
}
