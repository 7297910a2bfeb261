package dev.edgepack.core

import java.io.Closeable
import java.io.File

/** A library that runs models. Each `runtime-…` module has one; the app is built with one of the modules. */
interface ModelRuntime {
    /** As people know it. */
    val name: String

    /** The manifest's word for it. */
    val id: String

    /** Its version as the library says it, else the one that the app was built with; null where neither is known. */
    val version: String? get() = null

    /** Opens the model at [model]; [BundleException] where the library refuses it. Slow: not for the main thread. */
    fun load(model: File, manifest: BundleManifest): ModelSession

    /** The same, with [cache], a folder for what lets a runtime open the model sooner the next time. */
    fun load(model: File, manifest: BundleManifest, cache: File): ModelSession = load(model, manifest)
}

/** [BundleException] where the bundle is for another runtime, or for a newer one than the app has. */
fun ModelRuntime.requireFor(manifest: BundleManifest) {
    if (manifest.runtime != id) {
        throw BundleException("the bundle is for ${manifest.runtime}, this app is built with $id; package the app again")
    }
    val found = version ?: return
    if (compareVersions(found, manifest.runtimeMinVersion) < 0) {
        throw BundleException("the bundle needs $name ${manifest.runtimeMinVersion}, this app has $found; update the app")
    }
}

/** Compares the numbers of two versions, one after the other; one that is not there is 0. */
internal fun compareVersions(first: String, second: String): Int {
    val numbers = listOf(first, second).map { version -> Regex("\\d+").findAll(version).map { it.value.toInt() }.toList() }
    return (0 until numbers.maxOf { it.size })
        .map { place -> numbers[0].getOrElse(place) { 0 }.compareTo(numbers[1].getOrElse(place) { 0 }) }
        .firstOrNull { it != 0 } ?: 0
}

/** A loaded model. One call at a time. */
interface ModelSession : Closeable {
    /** The logits of one text: a number for each label, or for each token (padding included) and label, row by row. */
    fun run(encoding: Encoding): FloatArray
}

/** A tensor that the model asks for by [name], int64 `(1, tokens)`, padded where it takes a fixed number of them. */
fun BundleManifest.inputTensor(name: String, encoding: Encoding): LongArray {
    val size = fixedLength ?: encoding.size
    return when (name) {
        "input_ids" -> LongArray(size) { if (it < encoding.size) encoding.ids[it].toLong() else padId.toLong() }
        "attention_mask" -> LongArray(size) { if (it < encoding.size) 1L else 0L }
        "token_type_ids" -> LongArray(size) { if (it < encoding.size) encoding.typeIds[it].toLong() else 0L }
        else -> throw BundleException("the model asks for $name, which this app does not know; package the app again")
    }
}
