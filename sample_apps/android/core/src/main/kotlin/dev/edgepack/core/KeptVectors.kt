package dev.edgepack.core

import java.io.ByteArrayInputStream
import java.io.ByteArrayOutputStream
import java.io.DataInputStream
import java.io.DataOutputStream
import java.io.File
import java.io.IOException
import java.security.MessageDigest

/**
 * The vectors of a list of texts, in a [form], so that the model runs once for each; [size]: numbers of a vector.
 *
 * They are kept in [file] for the next start: SHA-256 of the rest, how many texts there are, each as its length and its
 * UTF-8, then the vectors. A file that is cut or altered counts as none; on a full disk they are in memory alone.
 */
class KeptVectors(
    private val file: File?,
    private val size: Int,
    private val form: VectorForm = VectorForm.FLOAT32,
) {
    private var vectors: Map<String, ByteArray> = file?.let(::read).orEmpty()
    private var filed = texts

    /** The texts, in order; none at first. */
    val texts: List<String> get() = vectors.keys.toList()

    /** The vectors of [texts], of those that are not kept by [embed]; what is then kept are these texts alone. */
    fun of(texts: List<String>, embed: (String) -> FloatArray): List<FloatArray> {
        val found = LinkedHashMap<String, ByteArray>()
        try {
            texts.forEach { found.getOrPut(it) { vectors[it] ?: form.pack(embed(it)) } }
        } catch (e: IOException) { // an interrupt too: what there is, is not embedded again
            vectors += found
            throw e
        }
        vectors = found
        if (file != null && filed != this.texts) write(file)
        return texts.map { form.unpack(found.getValue(it), size) }
    }

    private fun write(file: File) {
        filed = texts
        val body = ByteArrayOutputStream()
        DataOutputStream(body).use { out ->
            out.writeInt(vectors.size)
            for (text in vectors.keys.map { it.encodeToByteArray() }) {
                out.writeInt(text.size)
                out.write(text)
            }
            vectors.values.forEach(out::write)
        }
        val part = File("${file.path}.part")
        try {
            file.absoluteFile.parentFile?.mkdirs()
            part.writeBytes(sha256(body.toByteArray()) + body.toByteArray())
            part.renameTo(file)
        } catch (_: IOException) {
            part.delete()
        }
    }

    private fun read(file: File): Map<String, ByteArray>? = try {
        val bytes = file.readBytes()
        val body = bytes.copyOfRange(minOf(HASH, bytes.size), bytes.size)
        if (sha256(body).contentEquals(bytes.copyOf(HASH))) unpack(DataInputStream(ByteArrayInputStream(body))) else null
    } catch (_: IOException) { // no file, or one of vectors of another length
        null
    }

    private fun unpack(input: DataInputStream): Map<String, ByteArray> {
        fun bytes(count: Int) = ByteArray(count).also(input::readFully)
        val texts = List(input.readInt()) { bytes(input.readInt()).decodeToString() }
        return texts.associateWith { bytes(form.bytes(size)) }
    }

    companion object {
        private const val HASH = 32 // bytes
        private const val LETTERS = 16

        /** Those of the manifest's model, in [folder], which is for this alone: what another model made is deleted. */
        fun of(manifest: BundleManifest, folder: File?, form: VectorForm = VectorForm.FLOAT32): KeptVectors? {
            val size = manifest.vectorSize ?: return null
            val file = folder?.let { File(it, "${manifest.model.sha256.take(LETTERS)}-$size.${form.id}") }
            folder?.listFiles().orEmpty().filter { it != file }.forEach { it.delete() }
            return KeptVectors(file, size, form)
        }

        private fun sha256(bytes: ByteArray): ByteArray = MessageDigest.getInstance("SHA-256").digest(bytes)
    }
}
