package dev.edgepack.core.unigram

/**
 * The pieces of a vocabulary as a tree by code points: one walk finds all that begin at a place.
 *
 * Nodes are numbered level by level, so the children of each lie side by side, sorted by their code points, and three
 * numbers a node are all there is. Node 0 is the root.
 *
 * @property labels the code point that leads to each node
 * @property firstChildren where the children of each node begin; they end where those of the next one do
 * @property ids the piece that ends at each node; [NONE] if none does
 */
internal class PieceTrie(
    private val labels: IntArray,
    private val firstChildren: IntArray,
    private val ids: IntArray,
) {
    /** The node behind [node] by a code point; [NONE] if there is none. */
    fun child(node: Int, point: Int): Int {
        var low = firstChildren[node]
        var high = firstChildren[node + 1] - 1
        while (low <= high) {
            val middle = (low + high) ushr 1
            val label = labels[middle]
            if (label == point) return middle
            if (label < point) low = middle + 1 else high = middle - 1
        }
        return NONE
    }

    /** The id of the piece that ends at [node]; [NONE] if none does. */
    fun id(node: Int): Int = ids[node]

    /** The id of `points[from, to)`; [NONE] if it is no piece. */
    fun find(points: IntArray, from: Int, to: Int): Int {
        var node = 0
        var at = from
        while (at < to && node != NONE) node = child(node, points[at++])
        return if (node == NONE) NONE else ids[node]
    }

    companion object {
        const val NONE = -1
    }
}
