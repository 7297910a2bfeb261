package dev.edgepack.core

/** Takes numbers and strings off the front of a stream of `tokenizer.bin` (layout: edgepack's docs/bundle.md). */
internal class ByteReader(private val data: ByteArray) {
    private var at = 0

    /** How many bytes are left. */
    val left: Int get() = data.size - at

    /** The next byte, 0..255. */
    fun byte(): Int = data[at++].toInt() and 0xFF

    /** The next varint (LEB128), which must be below [limit]. */
    fun number(limit: Int = Int.MAX_VALUE): Int {
        var value = 0
        var shift = 0
        while (true) {
            val byte = byte()
            check(shift < LAST_SHIFT || shift == LAST_SHIFT && byte <= LAST_BITS) { "a number beyond 31 bits" }
            value = value or ((byte and 0x7F) shl shift)
            if (byte < 0x80) break
            shift += 7
        }
        check(value < limit) { "the number $value, where less than $limit is allowed" }
        return value
    }

    /** The next varint as a signed number: 0, 1, 2, 3 … stand for 0, −1, 1, −2 …. */
    fun signed(): Int {
        val number = number()
        return (number ushr 1) xor -(number and 1)
    }

    /** The next varint as a count of things of a byte or more, [most] at most: damage must not ask for gigabytes. */
    fun count(most: Int = Int.MAX_VALUE): Int {
        val count = checked(number())
        check(count <= most) { "a count of $count, where $most are allowed" }
        return count
    }

    /** The next [count] varints, each below [limit]. */
    fun numbers(count: Int, limit: Int = Int.MAX_VALUE): IntArray = IntArray(checked(count)) { number(limit) }

    /** The next [count] code points in ascending order, as the distances between them. */
    fun ascending(count: Int): IntArray {
        var point = 0
        return IntArray(checked(count)) {
            point += number(CODE_POINTS)
            checkedPoint(point)
        }
    }

    /** The next [count] code points in any order, as signed steps. */
    fun points(count: Int): IntArray {
        var point = 0
        return IntArray(checked(count)) {
            point += signed()
            checkedPoint(point)
        }
    }

    /** The next string: its byte count and UTF-8. */
    fun string(): String {
        val points = text()
        return String(points, 0, points.size)
    }

    /** The next string as code points. */
    fun text(): IntArray {
        val end = count() + at
        val points = IntArray(end - at)
        var size = 0
        decodeUtf8(data, at, end) { points[size++] = it }
        at = end
        return points.copyOf(size)
    }

    /** Copies the next [count] bytes into [target] from [offset] on. */
    fun copy(target: ByteArray, offset: Int, count: Int) {
        data.copyInto(target, offset, at, at + count)
        at += count
    }

    /** [count], if the rest of the stream can hold as many. */
    fun checked(count: Int): Int {
        check(count in 0..left) { "a count of $count in $left bytes" }
        return count
    }

    private fun checkedPoint(point: Int): Int {
        check(point in 0 until CODE_POINTS) { "code point $point" }
        return point
    }

    companion object {
        const val CODE_POINTS = 0x110000
        private const val LAST_SHIFT = 28
        private const val LAST_BITS = 7
    }
}
