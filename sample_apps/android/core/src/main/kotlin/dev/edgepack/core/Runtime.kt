package dev.edgepack.core

import java.io.Closeable
import java.io.File

/** A library that runs models. Each `runtime-…` module has one; the app is built with one of the modules. */
interface ModelRuntime {
    /** As people know it. */
    val name: String

    /** The manifest's word for it. */
    val id: String

    /** Opens the model at [model]; [BundleException] where the library refuses it. Slow: not for the main thread. */
    fun load(model: File, manifest: BundleManifest): ModelSession
}

/** A loaded model. One call at a time. */
interface ModelSession : Closeable {
    /** The logits of one text: a number for each label, or for each token and label, row by row. */
    fun run(encoding: Encoding): FloatArray
}

/** The tensors that a model may ask for by name, int64 `(1, tokens)`. */
fun inputTensor(name: String, encoding: Encoding): LongArray = when (name) {
    "input_ids" -> LongArray(encoding.size) { encoding.ids[it].toLong() }
    "attention_mask" -> LongArray(encoding.size) { 1L }
    "token_type_ids" -> LongArray(encoding.size) { encoding.typeIds[it].toLong() }
    else -> throw BundleException("the model asks for the input $name; this app knows input_ids, attention_mask, token_type_ids")
}
