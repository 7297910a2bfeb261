package dev.edgepack.core.normalizer

/** Keys of up to 42 bits with numbers of 21, in one sorted array: a few thousand pairs without an object for each. */
internal class NumberMap(private val entries: LongArray) {
    init {
        entries.sort()
    }

    /** The number of [key]; -1 if it has none. */
    fun find(key: Long): Int {
        val place = entries.binarySearch(key shl VALUE_BITS)
        val at = if (place < 0) -place - 1 else place
        if (at == entries.size || entries[at] ushr VALUE_BITS != key) return -1
        return (entries[at] and VALUE_MASK).toInt()
    }

    companion object {
        const val VALUE_BITS = 21
        private const val VALUE_MASK = (1L shl VALUE_BITS) - 1

        /** An element of the array. */
        fun entry(key: Long, value: Int): Long = key shl VALUE_BITS or value.toLong()
    }
}
