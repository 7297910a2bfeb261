package dev.edgepack.core

import java.io.File
import java.io.FileOutputStream
import java.io.IOException
import java.io.InputStream
import java.io.InterruptedIOException
import java.security.MessageDigest

/**
 * A file on its way: written beside its place, hashed while it streams, and renamed when it is the manifest's.
 *
 * What lies at [target] is therefore always whole. A part that was left behind can go on ([resume]).
 */
internal class PartialFile(private val target: File, private val record: FileRecord) {
    private val part = File("${target.path}.part")
    private val digest = MessageDigest.getInstance("SHA-256")

    /** Bytes there so far. */
    var length = 0L
        private set

    /** Takes up what an earlier attempt left, or begins anew where that cannot be a part of the file. */
    fun resume() {
        restart(keep = part.isFile && part.length() <= record.bytes)
        if (part.isFile) part.inputStream().use { stream -> copy(stream) { _, _ -> } }
    }

    /** Begins anew. */
    fun restart() = restart(keep = false)

    /** Appends [input]; [progress] hears of the bytes there are. Stops where the file would be too long. */
    fun append(input: InputStream, progress: (Long) -> Unit = {}) {
        val folder = target.absoluteFile.parentFile
        folder?.mkdirs()
        requireSpace(folder?.usableSpace ?: 0)
        FileOutputStream(part, true).use { out ->
            copy(input) { block, count ->
                out.write(block, 0, count)
                progress(length)
            }
            out.fd.sync()
        }
    }

    /** [free]: bytes, 0 where the device does not say it. */
    private fun requireSpace(free: Long) {
        val missing = record.bytes - length
        if (free !in 1 until missing) return
        throw BundleException("${record.name} needs ${missing / MB + 1} MB, this device has ${free / MB} MB free; make room, try again")
    }

    /** Compares with the manifest and puts the file in its place; [DamagedFileException] if it is another. */
    fun finish(): File {
        if (length != record.bytes) throw discard("has $length bytes, not ${record.bytes}")
        val sha256 = digest.digest().toHex()
        if (sha256 != record.sha256) throw discard("has SHA-256 ${sha256.take(12)}…, not ${record.sha256.take(12)}…")
        if (!part.renameTo(target)) throw IOException("$part cannot be renamed to ${target.name}")
        return target
    }

    private fun restart(keep: Boolean) {
        if (!keep) part.delete()
        digest.reset()
        length = 0
    }

    private inline fun copy(input: InputStream, write: (ByteArray, Int) -> Unit) {
        val block = ByteArray(BLOCK)
        while (true) {
            if (Thread.interrupted()) throw InterruptedIOException("stopped after $length bytes of ${record.name}")
            val count = input.read(block)
            if (count < 0) return
            if (length + count > record.bytes) throw discard("has more than ${record.bytes} bytes")
            digest.update(block, 0, count)
            length += count
            write(block, count)
        }
    }

    private fun discard(what: String): DamagedFileException {
        restart()
        return DamagedFileException("${record.name} $what: it is cut short or altered; install the app again")
    }
}

/** SHA-256 of a file's bytes, in hexadecimal. */
fun sha256(file: File): String {
    val digest = MessageDigest.getInstance("SHA-256")
    file.inputStream().use { stream ->
        val block = ByteArray(BLOCK)
        while (true) {
            val count = stream.read(block)
            if (count < 0) return digest.digest().toHex()
            digest.update(block, 0, count)
        }
    }
}

private const val BLOCK = 64 * 1024
private const val MB = 1_000_000

/** Lower-case hexadecimal. */
internal fun ByteArray.toHex(): String = joinToString("") { ((it.toInt() and 0xFF) or 0x100).toString(16).substring(1) }
