package dev.edgepack.core

/** Hands over the code points of UTF-8 in `bytes[from, to)`; [IllegalStateException] where it is none. */
internal inline fun decodeUtf8(bytes: ByteArray, from: Int, to: Int, use: (point: Int) -> Unit) {
    var at = from
    while (at < to) {
        val point = codePointAt(bytes, at, to)
        use(point)
        at += utf8Size(point)
    }
}

/** How many bytes a code point takes. */
internal fun utf8Size(point: Int): Int = when {
    point < 0x80 -> 1
    point < 0x800 -> 2
    point < 0x10000 -> 3
    else -> 4
}

/** Hands over the bytes of a code point. */
internal inline fun encodeUtf8(point: Int, use: (byte: Int) -> Unit) {
    if (point < 0x80) {
        use(point)
        return
    }
    if (point < 0x800) {
        use(0xC0 or (point shr 6))
    } else {
        if (point < 0x10000) {
            use(0xE0 or (point shr 12))
        } else {
            use(0xF0 or (point shr 18))
            use(0x80 or (point shr 12 and 0x3F))
        }
        use(0x80 or (point shr 6 and 0x3F))
    }
    use(0x80 or (point and 0x3F))
}

/** The code point at [at]: whole, in its shortest form and no half of a surrogate pair. */
internal fun codePointAt(bytes: ByteArray, at: Int, to: Int): Int {
    val first = bytes[at].toInt() and 0xFF
    if (first < 0x80) return first
    val size = when {
        first and 0xE0 == 0xC0 -> 2
        first and 0xF0 == 0xE0 -> 3
        first and 0xF8 == 0xF0 -> 4
        else -> 0
    }
    check(size > 0 && size <= to - at) { "bytes that are no UTF-8" }
    var point = first and (0x7F shr size)
    for (i in 1 until size) {
        val next = bytes[at + i].toInt() and 0xFF
        check(next and 0xC0 == 0x80) { "bytes that are no UTF-8" }
        point = point shl 6 or (next and 0x3F)
    }
    check(point < ByteReader.CODE_POINTS && utf8Size(point) == size && point !in 0xD800..0xDFFF) { "no code point" }
    return point
}
