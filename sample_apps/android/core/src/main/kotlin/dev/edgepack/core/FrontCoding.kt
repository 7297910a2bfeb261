package dev.edgepack.core

private const val LARGEST_VOCABULARY = 64 shl 20 // bytes of all tokens together: each may repeat 255 of the one before

/** Undoes the front coding of [size] tokens: each shares its first bytes with the one before. */
internal inline fun readFrontCoded(
    size: Int,
    lengths: ByteReader,
    suffixes: ByteReader,
    token: (id: Int, bytes: ByteArray, length: Int) -> Unit,
) {
    val bytes = TokenBytes()
    lengths.checked(size)
    for (id in 0 until size) {
        bytes.next(lengths, suffixes)
        token(id, bytes.bytes, bytes.length)
    }
}

/** The token that is being read. */
internal class TokenBytes {
    var bytes = ByteArray(256)
        private set
    var length = 0
        private set
    private var total = 0

    /** Takes the next token. */
    fun next(lengths: ByteReader, suffixes: ByteReader) {
        val shared = minOf(lengths.byte(), length)
        val own = suffixes.checked(lengths.number())
        length = shared + own
        total += length
        check(total <= LARGEST_VOCABULARY) { "tokens of more than $LARGEST_VOCABULARY bytes" }
        if (length > bytes.size) bytes = bytes.copyOf(length * 2)
        suffixes.copy(bytes, shared, own)
    }
}
