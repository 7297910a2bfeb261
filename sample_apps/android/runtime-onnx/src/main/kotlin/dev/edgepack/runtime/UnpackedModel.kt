package dev.edgepack.runtime

import dev.edgepack.core.sha256
import java.io.File

/**
 * A model as ONNX Runtime unpacks it, kept in [folder] for the next start; the folder is for this alone.
 *
 * The file's name says what it was made from ([modelSha256]), by which [version] of the runtime, and what it holds: it
 * is used where all three are true, and made again otherwise. It suits every processor.
 */
internal class UnpackedModel(private val folder: File, private val modelSha256: String, private val version: String) {
    /**
     * What [kept] opens of the file that is there; else what [unpack] opens, which saves that file at the place given.
     *
     * Null where neither can be, as on a full disk: the model is then to be opened as it is.
     */
    fun <T : Any> open(kept: (File) -> T, unpack: (File) -> T): T? {
        for (file in folder.listFiles().orEmpty()) {
            if (file.name == name(file)) orNull { kept(file) }?.let { return it }
            file.delete()
        }
        folder.mkdirs()
        val beside = File(folder, "$PART$version")
        val opened = orNull { unpack(beside) }
        if (opened == null || !beside.isFile || !beside.renameTo(File(folder, name(beside)))) beside.delete()
        return opened
    }

    private fun name(file: File) = listOf(modelSha256, version, sha256(file)).joinToString("-") { it.take(LETTERS) } + ".onnx"

    /** The runtime's own exceptions share no base with those of files. */
    private fun <T : Any> orNull(open: () -> T): T? = try {
        open()
    } catch (_: Exception) {
        null
    }

    private companion object {
        const val LETTERS = 16
        const val PART = "part-"
    }
}
