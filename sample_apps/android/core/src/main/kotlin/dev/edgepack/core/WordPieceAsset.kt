package dev.edgepack.core

private const val HANGUL_FLAG = 1

/** A WordPiece tokenizer from the six streams of version 1. */
internal fun readWordPieces(streams: List<ByteReader>): Tokenizer {
    val (header, lengths, suffixes, classes, folds) = streams
    val (flags, size, unknownId, longestWord) = header.numbers(4)
    val prefix = header.string()
    val added = AddedTokens(readAdded(header))
    val single = readFrame(header)
    val pair = readFrame(header)
    val table = UnicodeTable(decomposesHangul = flags and HANGUL_FLAG != 0)
    val classFlags = listOf(UnicodeTable.REMOVED, UnicodeTable.SPACE, UnicodeTable.PUNCTUATION, UnicodeTable.PADDED)
    for (flag in classFlags) table.flag(flag, classes)
    table.readFolds(folds)
    table.readRanks(streams.last())
    val vocabulary = readVocabulary(size, lengths, suffixes, prefix)
    return Tokenizer(WordPieceScanner(table, vocabulary, added, unknownId, longestWord), table, single, pair, size)
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
