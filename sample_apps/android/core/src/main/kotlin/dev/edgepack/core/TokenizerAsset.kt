package dev.edgepack.core

import dev.edgepack.core.unigram.readUnigram
import java.io.ByteArrayOutputStream
import java.util.zip.DataFormatException
import java.util.zip.Inflater

private const val MAGIC = "EPTK"
private const val FIRST_VERSION = 1 // of WordPiece alone; its header does not say so
private const val VERSION = 2
private const val WORD_PIECES = 0
private const val BYTE_PAIRS = 1
private const val UNIGRAM = 2
private const val MOST_STREAMS = 7
private const val LARGEST_STREAM = 16 shl 20 // bytes unpacked; the suffixes of 250,000 tokens take 2 MB
private const val MOST_PIECES = 64 // of a frame
private const val FRAME_KINDS = 3

/** Ids of a vocabulary are fewer. */
internal const val MOST_TOKENS = 2_000_000

/** The tokenizer in the bytes of a `tokenizer.bin`: the magic, a version, then zlib streams. */
fun readTokenizer(data: ByteArray): Tokenizer {
    val magic = data.size > MAGIC.length && MAGIC.indices.all { data[it].toInt() == MAGIC[it].code }
    if (!magic) throw DamagedFileException("the tokenizer asset (${data.size} bytes) is no tokenizer.bin; bundle again")
    val version = data[MAGIC.length].toInt()
    if (version != FIRST_VERSION && version != VERSION) {
        val known = "$FIRST_VERSION and $VERSION"
        throw BundleException("the tokenizer asset has version $version; this app reads $known: package it again")
    }
    try {
        val streams = split(data).map(::ByteReader)
        return when (val kind = if (version == FIRST_VERSION) WORD_PIECES else streams[0].number()) {
            WORD_PIECES -> readWordPieces(streams)
            BYTE_PAIRS -> readBytePairs(streams)
            UNIGRAM -> readUnigram(streams)
            else -> throw IllegalStateException("a tokenizer of kind $kind")
        }
    } catch (e: DataFormatException) {
        throw damaged(data, e)
    } catch (e: RuntimeException) { // an index, a count or a range that sound data never has
        throw damaged(data, e)
    }
}

private fun damaged(data: ByteArray, cause: Exception) =
    DamagedFileException("the tokenizer asset of ${data.size} bytes is damaged (${cause.message}); bundle again", cause)

/** Refuses streams that are not as many as [wanted], or one more for a normalizer. */
internal fun checkCount(streams: List<ByteReader>, wanted: Int, mayBeMore: Boolean = true) {
    val isRight = streams.size == wanted || mayBeMore && streams.size == wanted + 1
    check(isRight) { "${streams.size} streams, where $wanted are expected" }
}

/** The streams, unpacked; each lies behind its packed size, little-endian. */
private fun split(data: ByteArray): List<ByteArray> {
    val inflater = Inflater()
    try {
        var at = MAGIC.length + 1
        val streams = ArrayList<ByteArray>()
        while (at < data.size && streams.size < MOST_STREAMS) {
            val size = (0..3).sumOf { (data[at + it].toInt() and 0xFF) shl 8 * it }
            at += 4
            check(size in 0..data.size - at) { "a stream of $size bytes" }
            at += size
            inflater.reset()
            inflater.setInput(data, at - size, size)
            streams.add(inflate(inflater))
        }
        check(at == data.size) { "${data.size - at} bytes behind ${streams.size} streams" }
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
        check(out.size() + count <= LARGEST_STREAM) { "a stream of more than $LARGEST_STREAM bytes" }
        out.write(block, 0, count)
    }
    return out.toByteArray()
}

/** The added tokens of a header; [size] is how many ids there are. */
internal fun readAdded(header: ByteReader, size: Int): List<AddedToken> =
    List(header.count()) {
        val id = header.number(size)
        val flags = header.number()
        val content = header.text()
        check(content.isNotEmpty()) { "an added token without a character" }
        AddedToken(id, content, flags)
    }

/** One of a header's two templates. */
internal fun readFrame(header: ByteReader, size: Int): List<Piece> =
    List(header.count(MOST_PIECES)) {
        val kind = header.number(FRAME_KINDS)
        Piece(kind, header.number(if (kind == Tokenizer.SPECIAL) size else 1), header.number())
    }
