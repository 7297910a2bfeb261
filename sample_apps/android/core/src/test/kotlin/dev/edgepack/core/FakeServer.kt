package dev.edgepack.core

import java.io.Closeable
import java.net.InetAddress
import java.net.ServerSocket
import java.net.Socket
import java.net.URI
import kotlin.concurrent.thread

/** What the server does with one request: status line and headers, then [body], then it hangs up. */
class Reply(
    val status: String,
    val headers: List<String> = emptyList(),
    val body: ByteArray = ByteArray(0),
    val announced: Int = body.size,
)

/** An HTTP server on the loopback address that gives scripted replies in turn, and notes what range was asked for. */
class FakeServer(private vararg val replies: Reply) : Closeable {
    private val socket = ServerSocket(0, 10, InetAddress.getByName("127.0.0.1"))
    val ranges = ArrayList<String?>()
    val url = URI("http://127.0.0.1:${socket.localPort}/model.bin").toURL()

    private val worker = thread(isDaemon = true) {
        for (reply in replies) {
            val client = runCatching { socket.accept() }.getOrNull() ?: return@thread
            client.use { answer(it, reply) }
        }
    }

    private fun answer(client: Socket, reply: Reply) {
        val request = client.getInputStream().bufferedReader(Charsets.ISO_8859_1)
        val lines = generateSequence { request.readLine() }.takeWhile { it.isNotEmpty() }.toList()
        synchronized(ranges) { ranges += lines.firstOrNull { it.startsWith("Range: ") }?.removePrefix("Range: ") }
        val length = "Content-Length: ${reply.announced}"
        val head = listOf("HTTP/1.1 ${reply.status}", length, "Connection: close") + reply.headers
        client.getOutputStream().apply {
            write((head.joinToString("\r\n") + "\r\n\r\n").toByteArray())
            write(reply.body)
            flush()
        }
    }

    override fun close() {
        socket.close()
        worker.join(5_000)
    }
}
