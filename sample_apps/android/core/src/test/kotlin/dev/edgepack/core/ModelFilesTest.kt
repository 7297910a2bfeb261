package dev.edgepack.core

import java.io.ByteArrayInputStream
import java.io.File
import java.io.InterruptedIOException
import java.security.MessageDigest
import kotlin.io.path.createTempDirectory
import kotlin.random.Random
import kotlin.test.AfterTest
import kotlin.test.Test
import kotlin.test.assertContentEquals
import kotlin.test.assertEquals
import kotlin.test.assertFailsWith
import kotlin.test.assertFalse
import kotlin.test.assertNull
import kotlin.test.assertTrue

/** Files are whole and the manifest's, or not there: from the app's assets and from a server. */
class ModelFilesTest {
    private val folder: File = createTempDirectory("edgepack").toFile()
    private val data = Random(0).nextBytes(200_000)
    private val record = FileRecord("onnx/model.bin", data.size.toLong(), sha256(data), true)
    private val target = File(folder, "model.bin")
    private val part = File(folder, "model.bin.part")
    private val pauses = ArrayList<Long>()

    @AfterTest
    fun clean() {
        folder.deleteRecursively()
    }

    @Test
    fun anAssetIsCopiedOnceAndCheckedEachTime() {
        val store = ModelStore(folder)
        assertNull(store.find(record))
        val file = store.install(record) { ByteArrayInputStream(data) }
        assertContentEquals(data, file.readBytes())
        assertEquals(file, store.install(record) { error("it is there") })
        file.writeBytes(data.copyOf(100))
        assertNull(store.find(record))
        assertFalse(file.exists())
        store.install(record) { ByteArrayInputStream(data) }
        store.remove(record)
        assertNull(store.find(record))
    }

    @Test
    fun aDamagedAssetIsRefusedAndLeavesNothing() {
        val store = ModelStore(folder)
        val altered = data.copyOf().also { it[1000]++ }
        val cases = listOf(altered to "has SHA-256", data.copyOf(999) to "has 999 bytes", data + 1 to "has more than")
        for ((bad, message) in cases) {
            val error = assertFailsWith<DamagedFileException> { store.install(record) { ByteArrayInputStream(bad) } }
            assertTrue(message in error.message && "model.bin" in error.message, error.message)
            assertEquals(emptyList(), folder.list().orEmpty().toList())
        }
    }

    @Test
    fun aDeviceWithTooLittleRoomIsSaidBeforeAByteIsWritten() {
        val huge = FileRecord("onnx/model.bin", Long.MAX_VALUE / 2, sha256(data), true)
        val error = assertFailsWith<BundleException> { ModelStore(folder).install(huge) { ByteArrayInputStream(data) } }
        assertTrue("model.bin needs" in error.message && "make room, try again" in error.message, error.message)
        assertEquals(emptyList(), folder.list().orEmpty().toList())
        FakeServer(Reply("200 OK", body = data, announced = data.size)).use { server ->
            assertFailsWith<BundleException> { downloader().download(server.url, huge, target) }
            assertEquals(1, server.ranges.size)
        }
    }

    @Test
    fun filesOfEarlierVersionsGo() {
        val store = ModelStore(folder)
        val old = File(folder, "0123456789abcdef-model.bin").also { it.writeText("old") }
        store.install(record) { ByteArrayInputStream(data) }
        store.keepOnly(listOf(record))
        assertFalse(old.exists())
        assertEquals(store.place(record), store.find(record))
    }

    @Test
    fun aWholeDownload() {
        val seen = ArrayList<Long>()
        FakeServer(Reply("200 OK", body = data)).use { server ->
            assertContentEquals(data, downloader().download(server.url, record, target) { seen += it }.readBytes())
        }
        assertEquals(data.size.toLong(), seen.last())
        assertEquals(seen.sorted(), seen)
        assertFalse(part.exists())
    }

    @Test
    fun aBrokenConnectionGoesOnWhereItStopped() {
        val rest = Reply("206 Partial Content", listOf(range(70_000)), data.copyOfRange(70_000, data.size))
        FakeServer(Reply("200 OK", body = data.copyOf(70_000), announced = data.size), rest).use { server ->
            assertContentEquals(data, downloader().download(server.url, record, target).readBytes())
            assertEquals(listOf(null, "bytes=70000-"), server.ranges)
        }
        assertEquals(listOf(500L), pauses)
    }

    @Test
    fun aPartOfAnEarlierStartGoesOn() {
        part.writeBytes(data.copyOf(150_000))
        val rest = Reply("206 Partial Content", listOf(range(150_000)), data.copyOfRange(150_000, data.size))
        FakeServer(rest).use { server ->
            assertContentEquals(data, downloader().download(server.url, record, target).readBytes())
            assertEquals(listOf<String?>("bytes=150000-"), server.ranges)
        }
    }

    @Test
    fun aServerWithoutRangesSendsAllOfIt() {
        part.writeBytes(ByteArray(150_000))
        FakeServer(Reply("200 OK", body = data)).use { server ->
            assertContentEquals(data, downloader().download(server.url, record, target).readBytes())
        }
    }

    @Test
    fun aPartOfAnotherFileIsThrownAway() {
        part.writeBytes(ByteArray(150_000))
        val rest = Reply("206 Partial Content", listOf(range(150_000)), data.copyOfRange(150_000, data.size))
        FakeServer(rest, Reply("200 OK", body = data)).use { server ->
            assertContentEquals(data, downloader().download(server.url, record, target).readBytes())
            assertEquals(listOf("bytes=150000-", null), server.ranges)
        }
    }

    @Test
    fun anAlteredModelIsRefusedAtOnce() {
        for (bad in listOf(data.copyOf().also { it[5]++ }, data + 0)) {
            FakeServer(Reply("200 OK", body = bad)).use { server ->
                val error = assertFailsWith<DamagedFileException> { downloader().download(server.url, record, target) }
                assertTrue("is not the model of this app" in error.message, error.message)
                assertEquals(1, server.ranges.size)
            }
            assertFalse(target.exists() || part.exists())
        }
    }

    @Test
    fun busyServersAreAskedAgainWithLongerPauses() {
        val busy = Reply("503 Service Unavailable")
        FakeServer(busy, Reply("429 Too Many Requests"), busy, Reply("200 OK", body = data)).use { server ->
            assertContentEquals(data, downloader().download(server.url, record, target).readBytes())
        }
        assertEquals(listOf(500L, 1000L, 2000L), pauses)
    }

    @Test
    fun whatCannotBeFetchedIsSaidPlainly() {
        FakeServer(Reply("404 Not Found")).use { server ->
            val error = assertFailsWith<BundleException> { downloader().download(server.url, record, target) }
            assertTrue("HTTP 404" in error.message, error.message)
            assertEquals(1, server.ranges.size)
        }
        val busy = Array(6) { Reply("500 Internal Server Error") }
        FakeServer(*busy).use { server ->
            val error = assertFailsWith<BundleException> { downloader().download(server.url, record, target) }
            assertTrue("in 6 attempts (HTTP 500)" in error.message, error.message)
            assertEquals(6, server.ranges.size)
        }
    }

    @Test
    fun aRangeThatTheServerRefusesBeginsAnew() {
        part.writeBytes(data.copyOf(1000))
        FakeServer(Reply("416 Range Not Satisfiable"), Reply("200 OK", body = data)).use { server ->
            assertContentEquals(data, downloader().download(server.url, record, target).readBytes())
            assertEquals(listOf("bytes=1000-", null), server.ranges)
        }
        target.delete()
        part.writeBytes(data.copyOf(1000))
        val other = Reply("206 Partial Content", listOf("Content-Range: bytes 0-9/10"), ByteArray(10))
        FakeServer(other, Reply("200 OK", body = data)).use { server ->
            assertContentEquals(data, downloader().download(server.url, record, target).readBytes())
        }
    }

    @Test
    fun anInterruptStopsItAndLeavesThePart() {
        val downloader = ModelDownloader(pause = { throw InterruptedException() })
        FakeServer(Reply("200 OK", body = data.copyOf(70_000), announced = data.size)).use { server ->
            assertFailsWith<InterruptedIOException> { downloader.download(server.url, record, target) }
            assertTrue(Thread.interrupted()) // cleared before the server's thread is waited for
        }
        assertEquals(70_000L, part.length())
    }

    private fun downloader() = ModelDownloader(pause = { pauses += it })

    private fun range(from: Int) = "Content-Range: bytes $from-${data.size - 1}/${data.size}"

    private fun sha256(bytes: ByteArray) = MessageDigest.getInstance("SHA-256").digest(bytes).toHex()
}
