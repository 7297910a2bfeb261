package dev.edgepack.core

import java.io.ByteArrayOutputStream
import java.util.zip.DataFormatException
import java.util.zip.Inflater

private const val MAGIC = "EPTK"
private const val WORD_PIECES = 1
private const val BYTE_PAIRS = 2
private const val STREAMS = 6

/** The tokenizer in the bytes of a `tokenizer.bin`: the magic, a version, then six zlib streams. */
fun readTokenizer(data: ByteArray): Tokenizer {
    val magic = data.size > MAGIC.length && MAGIC.indices.all { data[it].toInt() == MAGIC[it].code }
    if (!magic) throw DamagedFileException("the tokenizer asset (${data.size} bytes) is no tokenizer.bin; bundle again")
    val version = data[MAGIC.length].toInt()
    if (version != WORD_PIECES && version != BYTE_PAIRS) {
        val known = "$WORD_PIECES and $BYTE_PAIRS"
        throw BundleException("the tokenizer asset has version $version; this app reads $known: package it again")
    }
    try {
        val streams = split(data).map(::ByteReader)
        return if (version == WORD_PIECES) readWordPieces(streams) else readBytePairs(streams)
    } catch (e: DataFormatException) {
        throw damaged(data, e)
    } catch (e: RuntimeException) { // an index, a count or a range that sound data never has
        throw damaged(data, e)
    }
}

private fun damaged(data: ByteArray, cause: Exception) =
    DamagedFileException("the tokenizer asset of ${data.size} bytes is damaged (${cause.message}); bundle again", cause)

/** The six streams, unpacked; each lies behind its packed size, little-endian. */
private fun split(data: ByteArray): List<ByteArray> {
    val inflater = Inflater()
    try {
        var at = MAGIC.length + 1
        val streams = List(STREAMS) {
            val size = (0..3).sumOf { (data[at + it].toInt() and 0xFF) shl 8 * it }
            at += 4
            check(size in 0..data.size - at) { "a stream of $size bytes" }
            at += size
            inflater.reset()
            inflater.setInput(data, at - size, size)
            inflate(inflater)
        }
        check(at == data.size) { "${data.size - at} bytes behind $STREAMS streams" }
        return streams
    } finally {
        inflater.end()
    }
}

private fun inflate(inflater: Inflater): ByteArray {
    val out = ByteArrayOutputStream()
    val block = ByteArray(16 * 1024)
    while (!inflater.finished()) {
        val count = inflater.inflate(block)
        check(count > 0 || inflater.finished()) { "a stream ends early" }
        out.write(block, 0, count)
    }
    return out.toByteArray()
}

/** The added tokens of a header. */
internal fun readAdded(header: ByteReader): List<AddedToken> =
    List(header.count()) {
        val (id, flags) = header.numbers(2)
        AddedToken(id, header.string(), flags)
    }

/** One of a header's two templates. */
internal fun readFrame(header: ByteReader): List<Piece> =
    List(header.count()) {
        val (kind, id, typeId) = header.numbers(3)
        Piece(kind, id, typeId)
    }
