package dev.edgepack.core

import dev.edgepack.core.normalizer.readNormalizer

private const val BYTE_PAIR_STREAMS = 6 // and one more with a normalizer
private const val PLANES = 3
private const val PREFIX_SPACE = 1

/** A byte-level tokenizer from its streams, six or seven, the kind being read. */
internal fun readBytePairs(streams: List<ByteReader>): Tokenizer {
    checkCount(streams, BYTE_PAIR_STREAMS)
    val (header, ids, left, right, results) = streams
    val flags = header.number()
    val size = header.number(MOST_TOKENS)
    val added = readAdded(header, size)
    val single = readFrame(header, size)
    val pair = readFrame(header, size)
    val merges = readMerges(left, right, results)
    val symbols = maxOf(MergeTable.BYTES, (merges.results.maxOrNull() ?: 0) + 1)
    val table = readClasses(streams[BYTE_PAIR_STREAMS - 1])
    val model = BytePairModel(table, merges, readIds(ids, symbols, size), flags and PREFIX_SPACE != 0)
    val offsets = OffsetOptions.of(flags)
    val normalizer = readNormalizer(streams.getOrNull(BYTE_PAIR_STREAMS))
    return Tokenizer(LetterScanner(table, added, normalizer, model, offsets), table, single, pair, size)
}

/** Pairs of known symbols; each makes the next new symbol or one that there is. */
private fun readMerges(left: ByteReader, right: ByteReader, results: ByteReader): MergeTable {
    val lefts = readPlanes(left)
    val rights = readPlanes(right)
    check(lefts.size == rights.size) { "${lefts.size} left symbols and ${rights.size} right ones" }
    var new = MergeTable.BYTES
    val made = IntArray(results.checked(lefts.size)) {
        val result = new + results.signed()
        check(maxOf(lefts[it], rights[it]) < new && result in MergeTable.BYTES..new) { "a merge into $result of $new" }
        if (result == new) new++
        result
    }
    return MergeTable(lefts, rights, made)
}

/** Numbers of three bytes: the low bytes of all, then the middle ones, then the high ones. */
private fun readPlanes(reader: ByteReader): IntArray {
    check(reader.left % PLANES == 0) { "${reader.left} bytes, which are not three for each merge" }
    val numbers = IntArray(reader.left / PLANES)
    for (plane in 0 until PLANES) for (i in numbers.indices) numbers[i] = numbers[i] or (reader.byte() shl 8 * plane)
    return numbers
}

/** The id of each symbol, stored as the step from the id before plus one. */
private fun readIds(reader: ByteReader, symbols: Int, size: Int): IntArray {
    var id = -1
    return IntArray(reader.checked(symbols)) {
        id += reader.signed() + 1
        check(id in 0 until size) { "the id $id of $size" }
        id
    }
}

private fun readClasses(reader: ByteReader): UnicodeTable {
    val table = UnicodeTable(decomposesHangul = false)
    val pattern = listOf(UnicodeTable.LETTER, UnicodeTable.NUMBER, UnicodeTable.GAP)
    val words = listOf(UnicodeTable.SPACE, UnicodeTable.PUNCTUATION, UnicodeTable.PADDED)
    for (flag in pattern + words) table.flag(flag, reader)
    val space = table.entry(' '.code)
    check(pattern.filter { space and it != 0 } == listOf(UnicodeTable.GAP)) { "a space is no gap" } // or no piece ends
    return table
}
