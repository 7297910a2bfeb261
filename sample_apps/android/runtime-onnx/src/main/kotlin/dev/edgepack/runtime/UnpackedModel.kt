package dev.edgepack.runtime

import java.io.File
import java.io.IOException
import java.util.zip.CRC32

/**
 * A model as ONNX Runtime unpacks it, kept in [folder] for the next start; the folder is for this alone.
 *
 * What is kept is a folder with a graph and its weights, which the runtime maps instead of reading. Its name says what it was
 * made from ([modelSha256]), by which [version] of the runtime, and what it holds, as the CRC-32 of each file: it is used
 * where all three are true, and made again otherwise. It suits every processor.
 */
internal class UnpackedModel(private val folder: File, private val modelSha256: String, private val version: String) {
    /**
     * What [kept] opens of the graph that is there; else what [unpack] opens, which saves the graph at the place given, and
     * [WEIGHTS] beside it.
     *
     * Null where neither can be, as on a full disk: the model is then to be opened as it is.
     */
    fun <T : Any> open(kept: (File) -> T, unpack: (File) -> T): T? {
        for (found in folder.listFiles().orEmpty()) {
            if (found.name == orNull { name(found) }) orNull { kept(File(found, GRAPH)) }?.let { return it }
            found.deleteRecursively()
        }
        val beside = File(folder, "$PART$version")
        beside.mkdirs()
        val opened = orNull { unpack(File(beside, GRAPH)) }
        val isKept = opened != null && orNull { beside.renameTo(File(folder, name(beside))) } == true
        if (!isKept) beside.deleteRecursively()
        return opened
    }

    private fun name(kept: File) =
        listOf(modelSha256.take(LETTERS), version, crc(File(kept, GRAPH)), crc(File(kept, WEIGHTS))).joinToString("-")

    @Throws(IOException::class)
    private fun crc(file: File): String {
        val crc = CRC32()
        file.inputStream().use { stream ->
            val buffer = ByteArray(BUFFER_BYTES)
            generateSequence { stream.read(buffer).takeIf { it >= 0 } }.forEach { crc.update(buffer, 0, it) }
        }
        return "%08x".format(crc.value)
    }

    /** The runtime's own exceptions share no base with those of files. */
    private fun <T : Any> orNull(open: () -> T): T? = try {
        open()
    } catch (_: Exception) {
        null
    }

    internal companion object {
        const val GRAPH = "model.onnx"
        const val WEIGHTS = "weights.bin"
        private const val LETTERS = 16
        private const val BUFFER_BYTES = 1 shl 16
        private const val PART = "part-"
    }
}
