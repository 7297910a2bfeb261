package dev.edgepack.core

import java.io.ByteArrayOutputStream
import java.util.zip.Deflater
import java.util.zip.InflaterInputStream

/** An added token: id, flags, content. */
internal class Added(val id: Int, val flags: Int, val content: String)

/** A `tokenizer.bin` of version 2. */
internal fun asset(vararg streams: Stream): ByteArray =
    streams.fold("EPTK\u0002".toByteArray()) { bytes, stream -> bytes + stream.packed() }

/** The code points of a string. */
internal fun String.codes(): List<Int> = codePoints().toArray().asList()

/** A stream of `tokenizer.bin`. */
internal class Stream {
    private val out = ByteArrayOutputStream()

    fun byte(value: Int) = out.write(value)

    fun numbers(vararg values: Int): Stream {
        for (value in values) {
            var rest = value
            while (rest > 0x7F) {
                byte(rest and 0x7F or 0x80)
                rest = rest ushr 7
            }
            byte(rest)
        }
        return this
    }

    fun string(text: String): Stream {
        numbers(text.toByteArray().size)
        out.write(text.toByteArray())
        return this
    }

    /** Numbers with a sign. */
    fun signed(vararg values: Int): Stream =
        numbers(*values.map { if (it >= 0) 2 * it else -2 * it - 1 }.toIntArray())

    /** The steps between numbers, the first from 0. */
    fun steps(values: List<Int>, write: (IntArray) -> Unit = { numbers(*it) }): Stream {
        write(values.indices.map { values[it] - if (it > 0) values[it - 1] else 0 }.toIntArray())
        return this
    }

    /** What code points become. */
    fun folds(vararg folds: Pair<String, String>): Stream {
        val targets = folds.flatMap { it.second.codes() }
        numbers(folds.size).steps(folds.flatMap { it.first.codes() })
        numbers(*folds.map { it.second.codes().size }.toIntArray())
        return steps(targets) { signed(*it) }
    }

    /** The ranks of marks. */
    fun ranks(vararg ranks: Pair<String, Int>): Stream {
        numbers(ranks.size).steps(ranks.flatMap { it.first.codes() })
        return numbers(*ranks.map { it.second }.toIntArray())
    }

    /** Added tokens of a header. */
    fun added(tokens: List<Added>): Stream {
        numbers(tokens.size)
        for (token in tokens) numbers(token.id, token.flags).string(token.content)
        return this
    }

    /** Two templates without special tokens. */
    fun noFrame(): Stream = numbers(1, 1, 0, 0).numbers(2, 1, 0, 0, 2, 0, 0)

    /** A range for each code point. */
    fun ranges(points: List<Int>): Stream {
        numbers(points.size)
        var end = 0
        for (point in points) {
            numbers(point - end, 1)
            end = point + 1
        }
        return this
    }

    fun bytes(): ByteArray = out.toByteArray()

    /** Its packed size, little-endian, and its zlib bytes. */
    fun packed(): ByteArray = packed(bytes())
}

/** A stream as an asset has it: packed size, little-endian, and zlib bytes. */
internal fun packed(bytes: ByteArray): ByteArray {
    val deflater = Deflater()
    deflater.setInput(bytes)
    deflater.finish()
    val block = ByteArray(bytes.size + bytes.size / 100 + 64)
    val size = deflater.deflate(block)
    deflater.end()
    return ByteArray(4) { (size shr 8 * it).toByte() } + block.copyOf(size)
}

/** The streams of an asset. */
internal fun unpacked(asset: ByteArray): List<ByteArray> {
    val streams = ArrayList<ByteArray>()
    var at = 5
    while (at < asset.size) {
        val size = (0..3).sumOf { (asset[at + it].toInt() and 0xFF) shl 8 * it }
        streams.add(InflaterInputStream(asset.inputStream(at + 4, size)).readBytes())
        at += 4 + size
    }
    return streams
}
