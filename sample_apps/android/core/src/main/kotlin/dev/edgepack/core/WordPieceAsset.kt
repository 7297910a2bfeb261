package dev.edgepack.core

private const val WORD_PIECE_STREAMS = 6
private const val HANGUL_FLAG = 1
private const val LONGEST_WORD = 1_000 // code points that are matched; the time grows with the cube

/** A WordPiece tokenizer from its six streams; in version 2 the kind is read. */
internal fun readWordPieces(streams: List<ByteReader>): Tokenizer {
    checkCount(streams, WORD_PIECE_STREAMS, mayBeMore = false)
    val (header, lengths, suffixes, classes, folds) = streams
    val flags = header.number()
    val size = header.number(MOST_TOKENS)
    val unknownId = header.number(size)
    val longestWord = header.number(LONGEST_WORD + 1)
    val prefix = header.string()
    val added = readAdded(header, size)
    val single = readFrame(header, size)
    val pair = readFrame(header, size)
    val table = UnicodeTable(decomposesHangul = flags and HANGUL_FLAG != 0)
    val classFlags = listOf(UnicodeTable.REMOVED, UnicodeTable.SPACE, UnicodeTable.PUNCTUATION, UnicodeTable.PADDED)
    for (flag in classFlags) table.flag(flag, classes)
    table.readFolds(folds)
    table.readRanks(streams.last())
    val vocabulary = readVocabulary(size, lengths, suffixes, prefix)
    return Tokenizer(WordPieceScanner(table, vocabulary, added, unknownId, longestWord), table, single, pair, size)
}

private fun readVocabulary(size: Int, lengths: ByteReader, suffixes: ByteReader, prefix: String): Vocabulary {
    val starts = IntArray(lengths.checked(size) + 1)
    val chars = StringBuilder(size * 8)
    readFrontCoded(size, lengths, suffixes) { id, bytes, length ->
        decodeUtf8(bytes, 0, length) { chars.appendCodePoint(it) }
        starts[id + 1] = chars.length
    }
    val joined = CharArray(chars.length)
    chars.toString().toCharArray(joined)
    return Vocabulary(joined, starts, prefix)
}
