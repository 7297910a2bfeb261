package dev.edgepack.runtime

import dev.edgepack.core.BundleException
import dev.edgepack.core.BundleManifest
import dev.edgepack.core.Encoding
import dev.edgepack.core.ModelRuntime
import dev.edgepack.core.ModelSession
import dev.edgepack.core.inputTensor
import java.io.File
import java.nio.FloatBuffer
import org.tensorflow.lite.Interpreter

/** LiteRT. Every runtime module has an object of this name, and the app is built with one of the modules. */
object PackagedRuntime : ModelRuntime {
    override val name = "LiteRT"
    override val id = "litert"
    override val version: String get() = BuildConfig.RUNTIME_VERSION

    override fun load(model: File, manifest: BundleManifest): ModelSession {
        try {
            return LiteRtSession(Interpreter(model, Interpreter.Options().setNumThreads(THREADS)), manifest)
        } catch (e: RuntimeException) { // the library throws nothing more exact
            throw BundleException("$name refuses the model: ${e.message?.lineSequence()?.first()}", e)
        }
    }

    // What the bundle was measured with. Models of a few MB gain little from more, and the screen needs cores too.
    private const val THREADS = 1
}

private class LiteRtSession(private val interpreter: Interpreter, private val manifest: BundleManifest) : ModelSession {
    private val names = List(interpreter.inputTensorCount) { interpreter.getInputTensor(it).name() }
    private var length = 0

    override fun run(encoding: Encoding): FloatArray {
        try {
            resize(manifest.fixedLength ?: encoding.size)
            val inputs = names.map { arrayOf(manifest.inputTensor(it, encoding)) } // int64 (1, tokens)
            val logits = FloatBuffer.allocate(interpreter.getOutputTensor(0).numElements())
            interpreter.runForMultipleInputsOutputs(inputs.toTypedArray(), mapOf(0 to logits))
            return logits.array()
        } catch (e: RuntimeException) {
            throw BundleException("the model does not run: ${e.message?.lineSequence()?.first()}", e)
        }
    }

    /** Plans the memory for texts of [tokens] tokens, unless it is planned for as many. */
    private fun resize(tokens: Int) {
        if (tokens == length) return
        for (index in names.indices) interpreter.resizeInput(index, intArrayOf(1, tokens))
        interpreter.allocateTensors()
        length = tokens
    }

    override fun close() = interpreter.close()
}
