package dev.edgepack.core.unigram

/** Pieces one after another: piece `id` is `points[starts[id], starts[id + 1])`. */
internal class Pieces(private val points: IntArray, private val starts: IntArray) {
    val size: Int get() = starts.size - 1

    fun length(id: Int): Int = starts[id + 1] - starts[id]

    /** A code point of a piece; [PieceTrie.NONE] at its end. */
    fun point(id: Int, place: Int): Int = if (place < length(id)) points[starts[id] + place] else PieceTrie.NONE
}

/** Makes the tree of [pieces]; an empty piece is none, and of equal ones the last stays. */
internal class TrieBuilder(private val pieces: Pieces) {
    private val order = IntArray(pieces.size)
    private var size = 0
    private var labels = IntArray(order.size * 2 + 1)
    private var from = IntArray(labels.size) // the pieces of a node, in their order
    private var to = IntArray(labels.size)

    fun build(): PieceTrie {
        var count = 0
        for (id in order.indices) if (pieces.length(id) > 0) order[count++] = id
        PieceOrder(pieces, order).sort(0, count)
        add(PieceTrie.NONE, 0, count)
        var firstChildren = IntArray(labels.size)
        var ids = IntArray(labels.size)
        var depth = 0
        var levelEnd = size
        var node = 0
        while (node < size) {
            if (node == levelEnd) {
                depth++
                levelEnd = size
            }
            if (node == ids.size) {
                firstChildren = firstChildren.copyOf(labels.size)
                ids = ids.copyOf(labels.size)
            }
            firstChildren[node] = size
            ids[node] = split(node, depth)
            node++
        }
        firstChildren = firstChildren.copyOf(size + 1)
        firstChildren[size] = size
        return PieceTrie(labels.copyOf(size), firstChildren, ids.copyOf(size))
    }

    /** Adds the children of a node; returns the id of the piece that ends at it. */
    private fun split(node: Int, depth: Int): Int {
        val end = to[node]
        var at = from[node]
        var id = PieceTrie.NONE
        while (at < end && pieces.length(order[at]) == depth) id = maxOf(id, order[at++])
        while (at < end) {
            val first = at
            val label = pieces.point(order[at], depth)
            while (at < end && pieces.point(order[at], depth) == label) at++
            add(label, first, at)
        }
        return id
    }

    private fun add(label: Int, first: Int, end: Int) {
        if (size == labels.size) {
            labels = labels.copyOf(size * 2)
            from = from.copyOf(size * 2)
            to = to.copyOf(size * 2)
        }
        labels[size] = label
        from[size] = first
        to[size++] = end
    }
}

/** Sorts pieces by their code points, one place at a time (multikey quicksort, Bentley and Sedgewick 1997). */
private class PieceOrder(private val pieces: Pieces, private val order: IntArray) {
    private var less = 0
    private var more = 0

    /**
     * Sorts `order[from, to)`, which are the same before [place]. The largest part is done in the loop, so that calls
     * nest no deeper than the logarithm of their number.
     */
    fun sort(from: Int, to: Int, place: Int = 0) {
        var low = from
        var high = to
        var at = place
        while (high - low > 1) {
            val pivot = pieces.point(order[(low + high) ushr 1], at)
            partition(low, high, at, pivot)
            val equal = less
            val equalEnd = if (pivot == PieceTrie.NONE) less else more // what ends here is in order
            val larger = more
            when (maxOf(equal - low, equalEnd - equal, high - larger)) {
                0 -> return
                equalEnd - equal -> {
                    sort(low, equal, at)
                    sort(larger, high, at)
                    low = equal
                    high = equalEnd
                    at++
                }
                equal - low -> {
                    sort(equal, equalEnd, at + 1)
                    sort(larger, high, at)
                    high = equal
                }
                else -> {
                    sort(low, equal, at)
                    sort(equal, equalEnd, at + 1)
                    low = larger
                }
            }
        }
    }

    /** Smaller ones first, then those that have [pivot] at [place] from [less] up to [more], then larger ones. */
    private fun partition(low: Int, high: Int, place: Int, pivot: Int) {
        less = low
        more = high
        var at = low
        while (at < more) {
            val point = pieces.point(order[at], place)
            if (point < pivot) swap(less++, at++) else if (point > pivot) swap(at, --more) else at++
        }
    }

    private fun swap(first: Int, second: Int) {
        val kept = order[first]
        order[first] = order[second]
        order[second] = kept
    }
}
