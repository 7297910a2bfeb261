package dev.edgepack.core

/**
 * What the reference tokenizer does with each code point, as baked into the asset: devices' own Unicode tables differ.
 *
 * One `Int` for each code point in pages of 256, most of them shared: a lookup is two array reads. Bits 0–20 hold the
 * code point that it becomes, or a place in [folds]; the bits above say how it behaves.
 */
internal class UnicodeTable(private val decomposesHangul: Boolean) {
    private val pages = Array(PAGES) { UNTOUCHED }
    private val owned = BooleanArray(PAGES)
    private val uniform = HashMap<Int, IntArray>()
    private var folds = IntArray(64)
    private var foldsSize = 0
    private var marks = IntArray(0)
    private var ranks = IntArray(0)

    /** Flags and folding of a code point. */
    fun entry(point: Int): Int = pages[point ushr PAGE_BITS][point and PAGE_MASK]

    /** Canonical order of a combining mark, 0 for everything else. */
    fun rank(point: Int): Int {
        if (entry(point) and MARK == 0) return 0
        return ranks[marks.binarySearch(point)]
    }

    /** Writes what [point] becomes to [target], which has [foldRoom]; returns how many code points that is. */
    fun fold(point: Int, target: IntArray): Int {
        if (decomposesHangul && Hangul.isSyllable(point)) return Hangul.decompose(point, target)
        val entry = entry(point)
        when (entry and FOLD_MASK) {
            FOLD_ONE -> target[0] = entry and VALUE_MASK
            FOLD_MANY -> {
                val at = entry and VALUE_MASK
                folds.copyInto(target, 0, at + 1, at + 1 + folds[at])
                return folds[at]
            }
            else -> target[0] = point
        }
        return 1
    }

    /** The most code points that one becomes, by what was read. */
    var longestFold = 1
        private set

    /** The most code points that one becomes, a syllable of Hangul among them. */
    val foldRoom: Int get() = maxOf(longestFold, 3)

    /** Sets [flag] on the ranges of a range list. */
    fun flag(flag: Int, reader: ByteReader) {
        var end = 0
        repeat(reader.count()) {
            val start = end + reader.number(CODE_POINTS + 1)
            end = start + reader.number(CODE_POINTS + 1)
            check(end <= CODE_POINTS) { "a range that ends at code point $end" }
            flag(flag, start, end)
        }
    }

    /** Sets [flag] on the code points from [start] up to [end]. */
    fun flag(flag: Int, start: Int, end: Int) {
        var point = start
        while (point < end) {
            val page = point ushr PAGE_BITS
            val whole = point and PAGE_MASK == 0 && end - point >= PAGE_SIZE
            if (whole && !owned[page]) { // all of the page's code points are alike, and stay so
                val entry = pages[page][0] or flag
                pages[page] = uniform.getOrPut(entry) { IntArray(PAGE_SIZE) { entry } }
                point += PAGE_SIZE
            } else {
                or(point++, flag)
            }
        }
    }

    /** Reads what code points become. */
    fun readFolds(reader: ByteReader) {
        val sources = distinct(reader.ascending(reader.count()))
        val lengths = reader.numbers(sources.size, LONGEST_FOLD + 1)
        val targets = reader.points(lengths.sum())
        var at = 0
        for (i in sources.indices) {
            setFold(sources[i], targets, at, lengths[i])
            at += lengths[i]
        }
        if (decomposesHangul) for (point in Hangul.FIRST..Hangul.LAST) or(point, FOLD_MANY)
    }

    /** Reads the order of combining marks. */
    fun readRanks(reader: ByteReader) {
        marks = distinct(reader.ascending(reader.count()))
        ranks = reader.numbers(marks.size)
        for (i in marks.indices) if (ranks[i] > 0) or(marks[i], MARK)
    }

    private fun distinct(points: IntArray): IntArray {
        for (i in 1 until points.size) check(points[i] > points[i - 1]) { "code point ${points[i]} twice" }
        return points
    }

    private fun setFold(source: Int, points: IntArray, from: Int, count: Int) {
        if (count == 1) return or(source, FOLD_ONE or points[from])
        longestFold = maxOf(longestFold, count)
        while (foldsSize + count + 1 > folds.size) folds = folds.copyOf(folds.size * 2)
        check(foldsSize <= VALUE_MASK) { "$foldsSize code points to become" }
        or(source, FOLD_MANY or foldsSize)
        folds[foldsSize++] = count
        points.copyInto(folds, foldsSize, from, from + count)
        foldsSize += count
    }

    private fun or(point: Int, bits: Int) {
        val page = point ushr PAGE_BITS
        if (!owned[page]) {
            pages[page] = pages[page].copyOf()
            owned[page] = true
        }
        pages[page][point and PAGE_MASK] = pages[page][point and PAGE_MASK] or bits
    }

    companion object {
        const val REMOVED = 1 shl 23
        const val SPACE = 1 shl 24
        const val PUNCTUATION = 1 shl 25
        const val PADDED = 1 shl 26
        const val MARK = 1 shl 27
        const val LETTER = 1 shl 28
        const val NUMBER = 1 shl 29
        const val GAP = 1 shl 30

        /** May make one code point of itself and the one before. */
        const val JOINS = 1 shl 31
        private const val FOLD_ONE = 1 shl 21
        private const val FOLD_MANY = 1 shl 22

        /** One of these bits: the code point becomes others, or none. */
        const val FOLD_MASK = FOLD_ONE or FOLD_MANY
        private const val VALUE_MASK = (1 shl 21) - 1

        /** None of these bits: the code point stands for itself and no mark is in play. */
        const val UNUSUAL = REMOVED or PADDED or MARK or FOLD_MASK

        private const val CODE_POINTS = ByteReader.CODE_POINTS
        private const val LONGEST_FOLD = 64 // code points; Unicode's longest has 18
        private const val PAGE_BITS = 8
        private const val PAGE_SIZE = 1 shl PAGE_BITS
        private const val PAGE_MASK = PAGE_SIZE - 1
        private const val PAGES = CODE_POINTS ushr PAGE_BITS
        private val UNTOUCHED = IntArray(PAGE_SIZE)
    }
}
