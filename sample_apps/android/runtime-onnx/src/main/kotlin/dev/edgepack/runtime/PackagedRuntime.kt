package dev.edgepack.runtime

import ai.onnxruntime.OnnxTensor
import ai.onnxruntime.OrtEnvironment
import ai.onnxruntime.OrtException
import ai.onnxruntime.OrtSession
import ai.onnxruntime.OrtSession.SessionOptions.OptLevel
import android.system.ErrnoException
import android.system.Os
import dev.edgepack.core.BundleException
import dev.edgepack.core.BundleManifest
import dev.edgepack.core.Encoding
import dev.edgepack.core.ModelRuntime
import dev.edgepack.core.ModelSession
import dev.edgepack.core.inputTensor
import java.io.File
import java.nio.LongBuffer

/** ONNX Runtime. Every runtime module has an object of this name, and the app is built with one of the modules. */
object PackagedRuntime : ModelRuntime {
    override val name = "ONNX Runtime"
    override val id = "onnxruntime"
    override val version: String get() = environment().version

    override fun load(model: File, manifest: BundleManifest): ModelSession = try {
        OnnxSession(environment(), open(model, OptLevel.ALL_OPT), manifest)
    } catch (e: OrtException) {
        throw BundleException("$name refuses the model: ${e.message?.lineSequence()?.first()}", e)
    }

    /** By way of the model as ONNX Runtime unpacks it, which opens in a fifth of the time. */
    override fun load(model: File, manifest: BundleManifest, cache: File): ModelSession {
        val session = UnpackedModel(cache, manifest.model.sha256, version).open(
            kept = { open(it, OptLevel.NO_OPT) },
            unpack = { open(model, OptLevel.EXTENDED_OPT, it) },
        )
        return if (session == null) load(model, manifest) else OnnxSession(environment(), session, manifest)
    }

    private fun open(model: File, level: OptLevel, saveAs: File? = null): OrtSession =
        OrtSession.SessionOptions().use { options ->
            options.setIntraOpNumThreads(THREADS)
            options.setInterOpNumThreads(1)
            options.setOptimizationLevel(level)
            saveAs?.let {
                options.setOptimizedModelFilePath(it.path)
                options.addConfigEntry("${APART}_file_name", UnpackedModel.WEIGHTS)
                options.addConfigEntry("${APART}_min_size_in_bytes", "1024")
            }
            environment().createSession(model.path, options)
        }

    private fun environment(): OrtEnvironment {
        switchTelemetryOff()
        return OrtEnvironment.getEnvironment().apply { setTelemetry(false) }
    }

    /** From 1.29 on the native library reports to its maker unless this is set before it loads. */
    private fun switchTelemetryOff() {
        try {
            Os.setenv("ORT_DISABLE_TELEMETRY", "1", true)
        } catch (e: ErrnoException) {
            throw BundleException("telemetry of $name cannot be switched off (${e.message}), so it is not loaded", e)
        }
    }

    // What the bundle was measured with. Models of a few MB gain little from more, and the screen needs cores too.
    private const val THREADS = 1

    private const val APART = "session.optimized_model_external_initializers"
}

private class OnnxSession(
    private val environment: OrtEnvironment,
    private val session: OrtSession,
    private val manifest: BundleManifest,
) : ModelSession {

    override fun run(encoding: Encoding): FloatArray {
        val shape = longArrayOf(1, (manifest.fixedLength ?: encoding.size).toLong())
        val inputs = LinkedHashMap<String, OnnxTensor>()
        try {
            for (name in session.inputNames) {
                val values = LongBuffer.wrap(manifest.inputTensor(name, encoding))
                inputs[name] = OnnxTensor.createTensor(environment, values, shape)
            }
            return session.run(inputs).use { result ->
                val logits = (result[0] as OnnxTensor).floatBuffer
                FloatArray(logits.remaining()).also(logits::get)
            }
        } catch (e: OrtException) {
            throw BundleException("the model does not run: ${e.message?.lineSequence()?.first()}", e)
        } finally {
            inputs.values.forEach(OnnxTensor::close)
        }
    }

    override fun close() = session.close()
}
