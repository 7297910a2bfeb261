package dev.edgepack.core

import java.time.Instant

/** How warm a device is, from cool to too warm; [UNKNOWN] where the system does not say. */
enum class Thermal {
    NOMINAL, FAIR, SERIOUS, CRITICAL, UNKNOWN;

    /** The worse of two; unknown where one is, unless the other is bad enough by itself. */
    infix fun or(other: Thermal): Thermal = when {
        this != UNKNOWN && other != UNKNOWN -> maxOf(this, other)
        else -> listOf(this, other).firstOrNull { it == SERIOUS || it == CRITICAL } ?: UNKNOWN
    }
}

/** What a phone measured of one model: the file that `edgepack gate --device-report` reads (docs/gate.md of edgepack). */
class DeviceReport(
    val device: String,
    val os: String,
    val runtime: String,
    val app: String,
    val artifactSha256: String,
    val loadMs: Double,
    val firstMs: Double,
    val p50Ms: Map<Int, Double>,
    val p95Ms: Map<Int, Double>,
    val runs: Int,
    val peakBytes: Long,
    val residentBytes: Long,
    val thermal: Thermal,
    val goldens: Int,
    val goldensPassed: Int,
) {
    /** The report as JSON. */
    fun toJson(created: Instant = Instant.now()): String = listOf(
        "schema" to "1",
        "device" to quoted(device),
        "os" to quoted(os),
        "runtime" to quoted(runtime),
        "app" to quoted(app),
        "created" to quoted(created.toString()),
        "artifact_sha256" to quoted(artifactSha256),
        "load_ms" to loadMs.toString(),
        "first_ms" to firstMs.toString(),
        "p50_ms" to times(p50Ms),
        "p95_ms" to times(p95Ms),
        "runs" to runs.toString(),
        "peak_bytes" to peakBytes.toString(),
        "resident_bytes" to residentBytes.toString(),
        "thermal" to quoted(thermal.name.lowercase()),
        "goldens" to goldens.toString(),
        "goldens_passed" to goldensPassed.toString(),
    ).joinToString(",\n", "{\n", "\n}\n") { (key, value) -> "  ${quoted(key)}: $value" }

    private fun times(byTokens: Map<Int, Double>) =
        byTokens.toSortedMap().entries.joinToString(", ", "{", "}") { (tokens, ms) -> "\"$tokens\": $ms" }

    private fun quoted(text: String) = text.map(::escaped).joinToString("", "\"", "\"")

    private fun escaped(char: Char) = when {
        char == '"' || char == '\\' -> "\\$char"
        char < ' ' || char.isSurrogate() -> "\\u%04x".format(char.code)
        else -> char.toString()
    }
}
