package dev.edgepack.core

import java.io.ByteArrayOutputStream
import java.util.zip.DataFormatException
import java.util.zip.Inflater

private const val MAGIC = "EPTK"
private const val VERSION = 1
private const val STREAMS = 6
private const val HANGUL_FLAG = 1

/** The tokenizer in the bytes of a `tokenizer.bin`, version 1: the magic, then six zlib streams. */
fun readTokenizer(data: ByteArray): Tokenizer {
    val magic = data.size > MAGIC.length && MAGIC.indices.all { data[it].toInt() == MAGIC[it].code }
    if (!magic) throw DamagedFileException("the tokenizer asset (${data.size} bytes) is no tokenizer.bin; bundle again")
    val version = data[MAGIC.length].toInt()
    if (version != VERSION) {
        throw BundleException("the tokenizer asset has version $version; this app reads $VERSION: package it again")
    }
    try {
        return decode(split(data).map(::ByteReader))
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
        return List(STREAMS) {
            val size = (0..3).sumOf { (data[at + it].toInt() and 0xFF) shl 8 * it }
            at += 4
            check(size in 0..data.size - at) { "a stream of $size bytes" }
            at += size
            inflater.reset()
            inflater.setInput(data, at - size, size)
            inflate(inflater)
        }
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

private fun decode(streams: List<ByteReader>): Tokenizer {
    val (header, lengths, suffixes, classes, folds) = streams
    val (flags, size, unknownId, longestWord) = header.numbers(4)
    val prefix = header.string()
    val added = AddedTokens(
        List(header.count()) {
            val id = header.number()
            val tokenFlags = header.number()
            AddedToken(id, header.string(), tokenFlags)
        },
    )
    val single = readFrame(header)
    val pair = readFrame(header)
    val table = UnicodeTable(decomposesHangul = flags and HANGUL_FLAG != 0)
    val classFlags = listOf(UnicodeTable.REMOVED, UnicodeTable.SPACE, UnicodeTable.PUNCTUATION, UnicodeTable.PADDED)
    for (flag in classFlags) table.flag(flag, classes)
    table.readFolds(folds)
    table.readRanks(streams[STREAMS - 1])
    val vocabulary = readVocabulary(size, lengths, suffixes, prefix)
    return Tokenizer(TextScanner(table, vocabulary, added, unknownId, longestWord), single, pair, size)
}

private fun readFrame(header: ByteReader): List<Piece> =
    List(header.count()) {
        val (kind, id, typeId) = header.numbers(3)
        Piece(kind, id, typeId)
    }

/** Undoes the front coding: each token shares its first bytes with the one before. */
private fun readVocabulary(size: Int, lengths: ByteReader, suffixes: ByteReader, prefix: String): Vocabulary {
    val starts = IntArray(lengths.checked(size) + 1)
    val chars = StringBuilder(size * 8)
    var bytes = ByteArray(256)
    for (id in 0 until size) {
        val shared = lengths.byte()
        val own = suffixes.checked(lengths.number())
        if (shared + own > bytes.size) bytes = bytes.copyOf((shared + own) * 2)
        suffixes.copy(bytes, shared, own)
        chars.append(String(bytes, 0, shared + own, Charsets.UTF_8))
        starts[id + 1] = chars.length
    }
    val joined = CharArray(chars.length)
    chars.toString().toCharArray(joined)
    return Vocabulary(joined, starts, prefix)
}
