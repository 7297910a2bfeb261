package dev.edgepack.core.normalizer

import dev.edgepack.core.UnicodeTable

/** Each code point becomes others, or none: lower case, accents stripped. */
internal class Mapping(private val table: UnicodeTable) : Step {
    private val out = Changes()
    private val fold = IntArray(table.foldRoom)

    override val growth: Int get() = table.longestFold

    override fun apply(letters: Letters, spare: Letters, start: Int): Letters {
        for (i in 0 until letters.size) {
            if (table.entry(letters.points[i]) and UnicodeTable.FOLD_MASK == 0) continue
            if (table.fold(letters.points[i], fold) != 1) return transformed(letters, i, spare, start)
            letters.points[i] = fold[0] // stands for the same
        }
        return letters
    }

    /** Maps letters from [at] on. One that becomes nothing is counted to the last one that stays. */
    private fun transformed(letters: Letters, at: Int, spare: Letters, start: Int): Letters {
        out.cut(0)
        for (i in 0 until at) out.add(letters.points[i], 0)
        var skipped = 0
        for (i in at until letters.size) {
            val count = table.fold(letters.points[i], fold)
            for (place in 0 until count) out.add(fold[place], if (place > 0) 1 else 0)
            if (count == 0) out.addToLast(-1)
            if (out.size == 0) skipped++
        }
        out.transform(letters, spare, start, skipped)
        return spare
    }
}
