package dev.edgepack.core

import java.io.File
import java.io.IOException
import java.io.InputStream
import java.io.InterruptedIOException
import java.net.HttpURLConnection
import java.net.SocketTimeoutException
import java.net.URL

/**
 * Fetches a model once: resumes by `Range`, tries again with growing pauses, and trusts nothing but the SHA-256.
 *
 * A file that is not the manifest's never gets its name. Blocks: not for the main thread; an interrupt stops it and
 * leaves the part for the next time.
 */
class ModelDownloader(
    private val attempts: Int = 6,
    private val firstPauseMillis: Long = 500,
    private val timeoutMillis: Int = 15_000,
    private val pause: (Long) -> Unit = Thread::sleep,
) {
    /** The file at [url], checked against [record], at [target]; [progress] hears of the bytes there are. */
    fun download(url: URL, record: FileRecord, target: File, progress: (Long) -> Unit = {}): File {
        val part = PartialFile(target, record)
        part.resume()
        var last: IOException? = null
        for (attempt in 0 until attempts) {
            if (attempt > 0) rest(attempt)
            val resumed = part.length > 0
            try {
                fetch(url, record, part, progress)
                return part.finish()
            } catch (e: DamagedFileException) { // a part of another file can spoil a resumed one; a fresh one is wrong
                if (!resumed) throw DamagedFileException("$url is not the model of this app: ${e.message}", e)
                last = e
            } catch (e: BundleException) {
                throw e
            } catch (e: SocketTimeoutException) { // an InterruptedIOException too, but nobody asked to stop
                last = e
            } catch (e: InterruptedIOException) {
                throw e
            } catch (e: IOException) {
                last = e
            }
        }
        val tried = "${url.host} in $attempts attempts (${last?.message})"
        throw BundleException("${record.name} could not be fetched from $tried; check the connection, try again", last)
    }

    private fun rest(attempt: Int) {
        try {
            pause(firstPauseMillis shl (attempt - 1))
        } catch (e: InterruptedException) {
            Thread.currentThread().interrupt()
            throw InterruptedIOException("stopped while waiting to try again")
        }
    }

    private fun fetch(url: URL, record: FileRecord, part: PartialFile, progress: (Long) -> Unit) {
        if (part.length == record.bytes) return
        val connection = url.openConnection() as HttpURLConnection
        try {
            connection.connectTimeout = timeoutMillis
            connection.readTimeout = timeoutMillis
            connection.setRequestProperty("Accept-Encoding", "identity")
            if (part.length > 0) connection.setRequestProperty("Range", "bytes=${part.length}-")
            val body = open(connection, part)
            body.use { part.append(it, progress) }
        } finally {
            connection.disconnect()
        }
        if (part.length < record.bytes) throw IOException("it ended after ${part.length} of ${record.bytes} bytes")
    }

    /** The body, with [part] set to where it begins. */
    private fun open(connection: HttpURLConnection, part: PartialFile): InputStream {
        when (val status = connection.responseCode) {
            HttpURLConnection.HTTP_OK -> part.restart()
            HttpURLConnection.HTTP_PARTIAL -> {
                val range = connection.getHeaderField("Content-Range").orEmpty()
                if (!range.startsWith("bytes ${part.length}-")) {
                    part.restart()
                    throw IOException("the server sent the range $range")
                }
            }
            RANGE_NOT_SATISFIABLE -> {
                part.restart()
                throw IOException("the server has no more bytes")
            }
            HttpURLConnection.HTTP_CLIENT_TIMEOUT, TOO_MANY_REQUESTS, in 500..599 -> throw IOException("HTTP $status")
            else -> throw BundleException("${connection.url} answers HTTP $status: a wrong URL, or the model is gone")
        }
        return connection.inputStream
    }

    private companion object {
        const val RANGE_NOT_SATISFIABLE = 416
        const val TOO_MANY_REQUESTS = 429
    }
}
