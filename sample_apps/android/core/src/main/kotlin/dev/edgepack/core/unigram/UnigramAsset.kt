package dev.edgepack.core.unigram

import dev.edgepack.core.ByteReader
import dev.edgepack.core.LetterScanner
import dev.edgepack.core.MOST_TOKENS
import dev.edgepack.core.OffsetOptions
import dev.edgepack.core.Tokenizer
import dev.edgepack.core.UnicodeTable
import dev.edgepack.core.checkCount
import dev.edgepack.core.decodeUtf8
import dev.edgepack.core.normalizer.readNormalizer
import dev.edgepack.core.readAdded
import dev.edgepack.core.readFrame
import dev.edgepack.core.readFrontCoded
import java.util.Locale

private const val UNIGRAM_STREAMS = 5 // and one more with a normalizer
private const val BYTE_FALLBACK = 1
private const val WIDE = 8 // scores of 64 bits
private const val MOST_SPLITS = 100
private const val SPLIT_SPACES = 1
private const val SPLIT_MARKS = 2
private const val METASPACE = 3
private const val BYTES = 256

/** A Unigram tokenizer from its streams, five or six, the kind being read. */
internal fun readUnigram(streams: List<ByteReader>): Tokenizer {
    checkCount(streams, UNIGRAM_STREAMS)
    val (header, lengths, suffixes, scores, classes) = streams
    val flags = header.number()
    val size = header.number(MOST_TOKENS)
    val count = header.number(size + 1)
    val unknownId = header.number(count)
    val table = UnicodeTable(decomposesHangul = false)
    val splitting = List(header.count(MOST_SPLITS)) { readSplitting(header, table) }
    val added = readAdded(header, size)
    val single = readFrame(header, size)
    val pair = readFrame(header, size)
    for (flag in listOf(UnicodeTable.SPACE, UnicodeTable.PUNCTUATION, UnicodeTable.PADDED)) table.flag(flag, classes)
    val trie = TrieBuilder(readPieces(count, lengths, suffixes)).build()
    val byteIds = if (flags and BYTE_FALLBACK != 0) IntArray(BYTES) { findByte(trie, it) } else null
    val found = readScores(scores, count, flags and WIDE != 0)
    val model = UnigramModel(trie, found, unknownId, byteIds, splitting)
    val offsets = OffsetOptions.of(flags)
    val normalizer = readNormalizer(streams.getOrNull(UNIGRAM_STREAMS))
    return Tokenizer(LetterScanner(table, added, normalizer, model, offsets), table, single, pair, size)
}

private fun readSplitting(header: ByteReader, table: UnicodeTable): Splitting = when (val kind = header.number()) {
    SPLIT_SPACES -> AtSpaces(table)
    SPLIT_MARKS -> AtMarks(table)
    METASPACE -> {
        val letter = header.text()
        check(letter.size == 1) { "${letter.size} letters for a space" }
        Metaspace(letter[0], header.number(Metaspace.SCHEMES), header.number(2) == 1)
    }
    else -> throw IllegalStateException("a splitting of kind $kind")
}

private fun readPieces(count: Int, lengths: ByteReader, suffixes: ByteReader): Pieces {
    val starts = IntArray(lengths.checked(count) + 1)
    var points = IntArray(count * 8 + 1)
    var size = 0
    readFrontCoded(count, lengths, suffixes) { id, bytes, length ->
        if (points.size < size + length) points = points.copyOf((size + length) * 2)
        decodeUtf8(bytes, 0, length) { points[size++] = it }
        starts[id + 1] = size
    }
    return Pieces(points, starts)
}

/** The scores of all pieces: the lowest bytes of all come first. */
private fun readScores(reader: ByteReader, count: Int, wide: Boolean): DoubleArray {
    val width = if (wide) Long.SIZE_BYTES else Int.SIZE_BYTES
    val bits = LongArray(reader.checked(count))
    for (plane in 0 until width) {
        for (i in bits.indices) bits[i] = bits[i] or (reader.byte().toLong() shl Byte.SIZE_BITS * plane)
    }
    return DoubleArray(count) {
        val score = if (wide) Double.fromBits(bits[it]) else Float.fromBits(bits[it].toInt()).toDouble()
        check(score.isFinite()) { "a score that is no finite number" }
        score
    }
}

/** The piece that stands for a byte. */
private fun findByte(trie: PieceTrie, byte: Int): Int {
    val name = "<0x%02X>".format(Locale.ROOT, byte).map { it.code }.toIntArray()
    return trie.find(name, 0, name.size)
}
