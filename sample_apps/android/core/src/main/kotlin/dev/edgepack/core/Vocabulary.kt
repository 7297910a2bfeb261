package dev.edgepack.core

/**
 * Finds the longest token that a stretch of a word begins with, without making a substring.
 *
 * Tokens lie in one array of UTF-16 units. Two open-addressing tables map the hash of a token to its id: one of whole
 * tokens, one of those that begin with the prefix (`##`), hashed without it. The hash is a polynomial, so that of any
 * stretch comes from two running hashes of the word; characters are compared only where hashes meet.
 *
 * @property chars all tokens, one after another
 * @property starts where each begins; one more than there are tokens. An id without a token is empty
 */
internal class Vocabulary(private val chars: CharArray, private val starts: IntArray, prefix: String) {
    private val whole = Table(0)
    private val continuing = Table(prefix.length)
    private var powers = IntArray(0)

    init {
        for (id in 0 until size) {
            val length = starts[id + 1] - starts[id]
            if (length == 0) continue
            whole.count(length)
            if (length > prefix.length && beginsWith(id, prefix)) continuing.count(length)
        }
        whole.allocate()
        continuing.allocate()
        for (id in size - 1 downTo 0) { // of equal tokens the last is found
            val length = starts[id + 1] - starts[id]
            if (length == 0) continue
            whole.put(id)
            if (length > prefix.length && beginsWith(id, prefix)) continuing.put(id)
        }
        powers = IntArray(maxOf(whole.longest, continuing.longest) + 1)
        powers[0] = 1
        for (i in 1 until powers.size) powers[i] = powers[i - 1] * BASE
    }

    /** How many ids there are. */
    val size: Int get() = starts.size - 1

    /**
     * The longest token that `word[start, end)` begins with: `id shl 32 or its end in the word`, or [NONE].
     *
     * [hashes] are the word's running hashes: `hashes[i]` is that of its first `i` characters.
     */
    fun longest(word: CharArray, hashes: IntArray, start: Int, end: Int): Long {
        val table = if (start == 0) whole else continuing
        var stop = minOf(end, start + table.longest)
        while (stop > start) {
            val hash = hashes[stop] - hashes[start] * powers[stop - start]
            val id = table.find(hash, word, start, stop)
            if (id >= 0) return id.toLong() shl 32 or stop.toLong()
            stop--
        }
        return NONE
    }

    private fun beginsWith(id: Int, prefix: String): Boolean =
        prefix.indices.all { chars[starts[id] + it] == prefix[it] }

    /** Ids under the hash of their tokens, the first [skipped] characters left out. */
    private inner class Table(private val skipped: Int) {
        var longest = 0
            private set
        private var entries = 0
        private var shift = 0
        private var slots = IntArray(0) // hash, id + 1, hash, id + 1, …

        fun count(length: Int) {
            entries++
            longest = maxOf(longest, length - skipped)
        }

        /** At most half full, so that a search soon meets an empty slot. */
        fun allocate() {
            val bits = maxOf(4, 33 - Integer.numberOfLeadingZeros(entries))
            shift = 32 - bits
            slots = IntArray(2 shl bits)
        }

        fun put(id: Int) {
            var hash = 0
            for (i in starts[id] + skipped until starts[id + 1]) hash = hash * BASE + chars[i].code
            var slot = first(hash)
            while (slots[slot + 1] != 0) slot = next(slot)
            slots[slot] = hash
            slots[slot + 1] = id + 1
        }

        fun find(hash: Int, word: CharArray, start: Int, stop: Int): Int {
            var slot = first(hash)
            while (slots[slot + 1] != 0) {
                val id = slots[slot + 1] - 1
                if (slots[slot] == hash && equal(id, word, start, stop)) return id
                slot = next(slot)
            }
            return -1
        }

        private fun first(hash: Int): Int = (hash * SCRAMBLE ushr shift) shl 1

        private fun next(slot: Int): Int = (slot + 2) and (slots.size - 1)

        private fun equal(id: Int, word: CharArray, start: Int, stop: Int): Boolean {
            val from = starts[id] + skipped
            if (starts[id + 1] - from != stop - start) return false
            for (i in 0 until stop - start) if (chars[from + i] != word[start + i]) return false
            return true
        }
    }

    companion object {
        const val NONE = -1L

        /** Base of the polynomial hash; odd, so that no character is lost to overflow. */
        const val BASE = 31
        private const val SCRAMBLE = -0x61c88647 // 2^32 / golden ratio: spreads neighbouring hashes (Knuth)
    }
}
