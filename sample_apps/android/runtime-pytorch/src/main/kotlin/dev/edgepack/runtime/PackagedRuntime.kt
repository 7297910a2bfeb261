package dev.edgepack.runtime

import dev.edgepack.core.BundleException
import dev.edgepack.core.BundleManifest
import dev.edgepack.core.Encoding
import dev.edgepack.core.ModelRuntime
import dev.edgepack.core.ModelSession
import dev.edgepack.core.inputTensor
import java.io.File
import org.pytorch.IValue
import org.pytorch.LiteModuleLoader
import org.pytorch.Module
import org.pytorch.PyTorchAndroid
import org.pytorch.Tensor

/** PyTorch's lite interpreter. Every runtime module has an object of this name; the app is built with one of them. */
object PackagedRuntime : ModelRuntime {
    override val name = "PyTorch Lite"
    override val id = "pytorch-lite"
    override val version: String get() = BuildConfig.RUNTIME_VERSION

    override fun load(model: File, manifest: BundleManifest): ModelSession {
        try {
            PyTorchAndroid.setNumThreads(THREADS)
            return PyTorchSession(LiteModuleLoader.load(model.path), manifest)
        } catch (e: RuntimeException) { // the library throws nothing more exact
            throw BundleException("$name refuses the model: ${e.message?.lineSequence()?.first()}", e)
        }
    }

    // What the bundle was measured with. Models of a few MB gain little from more, and the screen needs cores too.
    private const val THREADS = 1
}

private class PyTorchSession(private val module: Module, private val manifest: BundleManifest) : ModelSession {
    override fun run(encoding: Encoding): FloatArray {
        val shape = longArrayOf(1, (manifest.fixedLength ?: encoding.size).toLong())
        val inputs = manifest.inputs.map { IValue.from(Tensor.fromBlob(manifest.inputTensor(it, encoding), shape)) }
        try {
            return module.forward(*inputs.toTypedArray()).toTensor().dataAsFloatArray
        } catch (e: RuntimeException) {
            throw BundleException("the model does not run: ${e.message?.lineSequence()?.first()}", e)
        }
    }

    override fun close() = module.destroy()
}
