package dev.edgepack.core

/** Takes numbers and strings off the front of a stream of `tokenizer.bin` (layout: edgepack's docs/bundle.md). */
internal class ByteReader(private val data: ByteArray) {
    private var at = 0

    /** How many bytes are left. */
    val left: Int get() = data.size - at

    /** The next byte, 0..255. */
    fun byte(): Int = data[at++].toInt() and 0xFF

    /** The next varint (LEB128). */
    fun number(): Int {
        var value = 0
        var shift = 0
        while (true) {
            val byte = byte()
            check(shift <= MAX_SHIFT) { "a number without an end" }
            value = value or ((byte and 0x7F) shl shift)
            if (byte < 0x80) return value
            shift += 7
        }
    }

    /** The next varint as a signed number: 0, 1, 2, 3 … stand for 0, −1, 1, −2 …. */
    fun signed(): Int {
        val number = number()
        return (number ushr 1) xor -(number and 1)
    }

    /** The next varint as a count of things of a byte or more; a damaged one must not ask for gigabytes. */
    fun count(): Int = checked(number())

    /** The next [count] varints. */
    fun numbers(count: Int): IntArray = IntArray(checked(count)) { number() }

    /** Running sums of the next [count] varints: the way sorted numbers are stored. */
    fun sorted(count: Int): IntArray {
        val values = numbers(count)
        for (i in 1 until values.size) values[i] += values[i - 1]
        return values
    }

    /** The next string: its byte count and UTF-8. */
    fun string(): String {
        val size = count()
        val text = String(data, at, size, Charsets.UTF_8)
        at += size
        return text
    }

    /** Copies the next [count] bytes into [target] from [offset] on. */
    fun copy(target: ByteArray, offset: Int, count: Int) {
        data.copyInto(target, offset, at, at + count)
        at += count
    }

    /** [count], if the rest of the stream can hold as many. */
    fun checked(count: Int): Int {
        check(count in 0..data.size - at) { "a count of $count in ${data.size - at} bytes" }
        return count
    }

    private companion object {
        const val MAX_SHIFT = 28
    }
}
