package dev.edgepack.core

import java.io.File
import kotlin.math.abs
import kotlin.math.ceil
import kotlin.math.floor
import kotlin.math.sqrt

/** What the benchmark asks of whatever it runs on. */
interface DeviceFacts {
    /** Maker and model, as people know them. */
    val device: String

    /** The system with its version. */
    val os: String

    /** The app's id and version. */
    val app: String

    /** How warm it is now. */
    fun thermal(): Thermal
}

/**
 * Times a model as edgepack does on a computer: one text at a time, texts of [counts] tokens in turn, [runs] of each.
 *
 * Before that it opens [model] once, in a process that should not have opened it yet, and afterwards it runs the bundle's
 * golden vectors, lines of `golden.jsonl`. It takes some seconds: not for the main thread.
 */
class DeviceBenchmark(
    private val manifest: BundleManifest,
    private val runtime: ModelRuntime,
    private val facts: DeviceFacts,
    counts: List<Int> = listOf(16, 32, 64, 128),
    private val runs: Int = 50,
) {
    private val counts = counts.filter { it <= manifest.inputLength }.ifEmpty { listOf(manifest.inputLength) }

    /** The figures of the model in the file [model]. */
    fun measure(tokenizer: File, model: File, goldens: List<String>): DeviceReport {
        runtime.requireFor(manifest)
        val before = facts.thermal()
        val start = System.nanoTime()
        return runtime.load(model, manifest).use { session ->
            val loadMs = millisecondsSince(start)
            val resident = ProcessMemory.now().residentBytes
            val firstMs = time(session, counts.first())
            val times = times(session)
            val passed = GoldenCheck(manifest, Tokenizer.load(tokenizer), session).passed(goldens)
            DeviceReport(
                device = facts.device,
                os = facts.os,
                runtime = listOfNotNull(runtime.id, runtime.version).joinToString(" "),
                app = facts.app,
                artifactSha256 = manifest.model.sha256,
                loadMs = loadMs,
                firstMs = firstMs,
                p50Ms = times.mapValues { percentile(it.value, 0.5) },
                p95Ms = times.mapValues { percentile(it.value, 0.95) },
                runs = runs,
                peakBytes = ProcessMemory.now().peakBytes,
                residentBytes = resident,
                thermal = before or facts.thermal(),
                goldens = goldens.size,
                goldensPassed = passed,
            )
        }
    }

    private fun times(session: ModelSession): Map<Int, List<Double>> {
        repeat(WARM_UPS) { counts.forEach { time(session, it) } }
        val out = counts.associateWith { ArrayList<Double>() }
        repeat(runs) { out.forEach { (count, times) -> times += time(session, count) } }
        return out
    }

    private fun time(session: ModelSession, count: Int): Double {
        val zeros = IntArray(count)
        val encoding = Encoding(IntArray(count) { TOKEN_ID }, zeros, zeros, zeros, zeros)
        val start = System.nanoTime()
        session.run(encoding)
        return millisecondsSince(start)
    }

    private fun millisecondsSince(start: Long) = maxOf(1L, System.nanoTime() - start) / 1e6

    private companion object {
        const val WARM_UPS = 3
        const val TOKEN_ID = 5 // any that every vocabulary has: the time does not depend on it
    }
}

/** A share of the values that lie below, between two of them in proportion. */
internal fun percentile(values: List<Double>, share: Double): Double {
    val sorted = values.sorted()
    val place = share * (sorted.size - 1)
    val below = sorted[floor(place).toInt()]
    return below + (sorted[ceil(place).toInt()] - below) * (place - floor(place))
}

/** How much memory the process takes, as Linux counts it, which Android is. */
class ProcessMemory(val residentBytes: Long, val peakBytes: Long) {
    companion object {
        /** As it is now. */
        fun now(): ProcessMemory = read(File("/proc/self/status").readLines())

        internal fun read(status: List<String>): ProcessMemory {
            fun bytes(name: String): Long =
                status.firstOrNull { it.startsWith("$name:") }?.split(Regex("\\s+"))?.getOrNull(1)?.toLongOrNull()?.times(1024)
                    ?: throw BundleException("the system does not say $name of this process")
            return ProcessMemory(bytes("VmRSS"), bytes("VmHWM"))
        }
    }
}

/** Runs golden vectors again: tokens must be the reference's, logits near it (docs/bundle.md of edgepack). */
class GoldenCheck(
    private val manifest: BundleManifest,
    private val tokenizer: Tokenizer,
    private val session: ModelSession,
) {
    /** How many of these lines came out; none where the logits of all together are too far off. */
    fun passed(lines: List<String>): Int {
        val goldens = lines.map { Json.parse(it) as? Map<*, *> ?: throw BundleException("a golden is no object") }
        val expected = goldens.map { doubles(it["logits"]) }
        val usual = sqrt(expected.flatten().map { it * it }.average())
        var passed = 0
        var wrong = 0.0
        for ((golden, logits) in goldens.zip(expected)) {
            val found = run(golden) ?: continue
            if (found.size != logits.size) continue
            wrong += found.indices.sumOf { (found[it] - logits[it]) * (found[it] - logits[it]) }
            val limit = maxOf(TOLERANCE * maxOf(usual, logits.maxOf(::abs)), LEAST)
            if (found.indices.all { abs(found[it] - logits[it]) <= limit }) passed++
        }
        val size = expected.flatten().sumOf { it * it }
        return if (sqrt(wrong / maxOf(size, LEAST)) <= CLOSENESS) passed else 0
    }

    /** The logits; null where the tokens are others. */
    private fun run(golden: Map<*, *>): FloatArray? {
        val whole = manifest.windows != null
        val encoding = tokenizer.encode(golden["text"] as String, golden["pair"] as String?, manifest.inputLength, whole)
        val offsets = encoding.starts.zip(encoding.ends).flatMap { listOf(it.first, it.second) }
        val isSame = encoding.ids.asList() == ints(golden["input_ids"]) && offsets == ints(golden["offsets_utf16"]) &&
            encoding.typeIds.asList() == ints(golden["token_type_ids"])
        return if (isSame) session.run(encoding, manifest) else null
    }

    private fun ints(value: Any?): List<Int> = doubles(value).map { it.toInt() }

    private fun doubles(value: Any?): List<Double> =
        if (value is List<*>) value.flatMap(::doubles) else listOf((value as Number).toDouble())

    private companion object {
        const val TOLERANCE = 0.15 // of the text's largest or the usual logit: CPUs round differently
        const val CLOSENESS = 0.05 // relative error over all
        const val LEAST = 1e-4
    }
}
