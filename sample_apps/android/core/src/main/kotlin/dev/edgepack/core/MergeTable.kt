package dev.edgepack.core

/**
 * The merges of a byte-level vocabulary: which pair of symbols becomes which one, and in what order.
 *
 * Symbols 0 to 255 are bytes. Pairs are looked up in an open-addressing table of ranks, at most half full.
 *
 * @property left the left symbol of each merge, the first to be applied first
 * @property right the right symbol of each
 * @property results the symbol that each makes
 */
internal class MergeTable(val left: IntArray, val right: IntArray, val results: IntArray) {
    private val bits = maxOf(4, 33 - Integer.numberOfLeadingZeros(left.size))
    private val slots = IntArray(1 shl bits) // rank + 1; 0 is empty

    init {
        for (rank in left.indices) slots[slot(left[rank], right[rank])] = rank + 1
    }

    /** The merge of a pair; -1 if there is none. */
    fun rank(first: Int, second: Int): Int = slots[slot(first, second)] - 1

    /** Where the pair is, or the empty slot where it would be. */
    private fun slot(first: Int, second: Int): Int {
        var slot = (first * BASE + second) * SCRAMBLE ushr (Int.SIZE_BITS - bits)
        while (true) {
            val rank = slots[slot] - 1
            if (rank < 0 || left[rank] == first && right[rank] == second) return slot
            slot = (slot + 1) and (slots.size - 1)
        }
    }

    companion object {
        const val BYTES = 256
        private const val BASE = 65_599
        private const val SCRAMBLE = -0x61c88647 // 2^32 / golden ratio: spreads neighbouring hashes (Knuth)
    }
}

/** How many spaces each symbol begins and ends with; one of nothing else begins and ends with all of them. */
internal class SymbolSpaces(merges: MergeTable, count: Int) {
    val leading = IntArray(count)
    val trailing = IntArray(count)

    init {
        val lengths = IntArray(count)
        lengths.fill(1, 0, MergeTable.BYTES)
        leading[SPACE] = 1
        trailing[SPACE] = 1
        for (rank in merges.left.indices) {
            val left = merges.left[rank]
            val right = merges.right[rank]
            val made = merges.results[rank]
            lengths[made] = minOf(lengths[left] + lengths[right], LONGEST)
            leading[made] = leading[left] + if (leading[left] == lengths[left]) leading[right] else 0
            trailing[made] = trailing[right] + if (trailing[right] == lengths[right]) trailing[left] else 0
        }
    }

    private companion object {
        const val SPACE = 0x20
        const val LONGEST = 1 shl 24 // bytes; no text has such a token, and a damaged file must not overflow
    }
}
