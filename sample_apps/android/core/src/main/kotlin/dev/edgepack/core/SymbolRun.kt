package dev.edgepack.core

/**
 * The bytes of one piece of a text and the symbols that merges make of them.
 *
 * Symbols are a linked list over the bytes; possible merges wait in a heap, so that a piece of n bytes takes
 * n log n steps: the earliest merge goes first, the leftmost of equal ones.
 */
internal class SymbolRun(private val merges: MergeTable) {
    private var size = 0
    private var symbols = IntArray(INITIAL)
    private var sources = IntArray(INITIAL)
    private var before = IntArray(INITIAL)
    private var after = IntArray(INITIAL)
    private val waiting = LongHeap() // rank in the upper half, place in the lower

    fun clear() {
        size = 0
    }

    /** Adds the UTF-8 bytes of a code point, which is letter [source] of a stretch. */
    fun append(point: Int, source: Int) = encodeUtf8(point) { byte(it, source) }

    /** Applies all merges. */
    fun merge() {
        for (place in 0 until size) {
            before[place] = place - 1
            after[place] = place + 1
        }
        for (place in 0 until size) offer(place)
        while (!waiting.isEmpty) {
            val next = waiting.pop()
            apply(rank = (next ushr Int.SIZE_BITS).toInt(), place = next.toInt())
        }
    }

    /** Hands over the symbols with the letters that their first and last bytes are of. */
    inline fun forEach(use: (symbol: Int, first: Int, last: Int) -> Unit) {
        var place = 0
        while (place < size) {
            use(symbols[place], sources[place], sources[after[place] - 1])
            place = after[place]
        }
    }

    private fun byte(value: Int, source: Int) {
        if (size == symbols.size) grow()
        symbols[size] = value
        sources[size++] = source
    }

    /** Puts the pair that begins at [place] on the heap, if it can be merged. */
    private fun offer(place: Int) {
        if (place < 0 || after[place] >= size) return
        val rank = merges.rank(symbols[place], symbols[after[place]])
        if (rank >= 0) waiting.push(rank.toLong() shl Int.SIZE_BITS or place.toLong())
    }

    /** Merges the pair at [place], if neither half has been merged since. */
    private fun apply(rank: Int, place: Int) {
        val other = after[place]
        if (other >= size || symbols[place] != merges.left[rank] || symbols[other] != merges.right[rank]) return
        symbols[place] = merges.results[rank]
        symbols[other] = GONE
        after[place] = after[other]
        if (after[place] < size) before[after[place]] = place
        offer(before[place])
        offer(place)
    }

    private fun grow() {
        symbols = symbols.copyOf(size * 2)
        sources = sources.copyOf(size * 2)
        before = before.copyOf(size * 2)
        after = after.copyOf(size * 2)
    }

    private companion object {
        const val INITIAL = 64
        const val GONE = -1
    }
}

/** A binary heap of numbers, the smallest first. */
internal class LongHeap {
    private var items = LongArray(64)
    private var size = 0

    val isEmpty: Boolean get() = size == 0

    fun push(item: Long) {
        if (size == items.size) items = items.copyOf(size * 2)
        var at = size++
        while (at > 0 && items[(at - 1) / 2] > item) {
            items[at] = items[(at - 1) / 2]
            at = (at - 1) / 2
        }
        items[at] = item
    }

    fun pop(): Long {
        val smallest = items[0]
        val item = items[--size]
        var at = 0
        while (true) {
            var child = 2 * at + 1
            if (child >= size) break
            if (child + 1 < size && items[child + 1] < items[child]) child++
            if (items[child] >= item) break
            items[at] = items[child]
            at = child
        }
        items[at] = item
        return smallest
    }
}
