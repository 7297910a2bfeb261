package dev.edgepack.runtime

import dev.edgepack.core.BundleException
import dev.edgepack.core.BundleManifest
import dev.edgepack.core.Encoding
import dev.edgepack.core.ModelRuntime
import dev.edgepack.core.ModelSession
import dev.edgepack.core.inputTensor
import java.io.File
import org.pytorch.executorch.EValue
import org.pytorch.executorch.Module
import org.pytorch.executorch.Tensor

/** ExecuTorch. Every runtime module has an object of this name, and the app is built with one of the modules. */
object PackagedRuntime : ModelRuntime {
    override val name = "ExecuTorch"
    override val id = "executorch"
    override val version: String get() = BuildConfig.RUNTIME_VERSION

    override fun load(model: File, manifest: BundleManifest): ModelSession {
        try {
            return ExecuTorchSession(Module.load(model.path, Module.LOAD_MODE_MMAP), manifest)
        } catch (e: RuntimeException) { // the library's own exceptions are of this kind
            throw BundleException("$name refuses the model: ${e.message?.lineSequence()?.first()}", e)
        }
    }
}

private class ExecuTorchSession(private val module: Module, private val manifest: BundleManifest) : ModelSession {
    override fun run(encoding: Encoding): FloatArray {
        val shape = longArrayOf(1, (manifest.fixedLength ?: encoding.size).toLong())
        val inputs = manifest.inputs.map { EValue.from(Tensor.fromBlob(manifest.inputTensor(it, encoding), shape)) }
        try {
            return module.forward(*inputs.toTypedArray())[0].toTensor().dataAsFloatArray
        } catch (e: RuntimeException) {
            throw BundleException("the model does not run: ${e.message?.lineSequence()?.first()}", e)
        }
    }

    override fun close() = module.destroy()
}
