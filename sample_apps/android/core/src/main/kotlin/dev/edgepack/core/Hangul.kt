package dev.edgepack.core

/** Hangul's syllables and the jamo that they are made of, by arithmetic (Unicode Standard, §3.12). */
internal object Hangul {
    const val FIRST = 0xAC00
    const val LAST = 0xD7A3
    val VOWELS = 0x1161..0x1175
    val TRAILS = 0x11A8..0x11C2
    private val LEADS = 0x1100..0x1112
    private const val VOWEL_COUNT = 21
    private const val ENDINGS = 28 // of a lead and a vowel: a trail or none
    private const val NONE = -1

    fun isSyllable(point: Int): Boolean = point in FIRST..LAST

    /** Whether this is a syllable without a trail, which one may join. */
    fun isOpen(point: Int): Boolean = isSyllable(point) && (point - FIRST) % ENDINGS == 0

    /** Writes the parts of a syllable; their number. */
    fun decompose(point: Int, target: IntArray): Int {
        val index = point - FIRST
        target[0] = LEADS.first + index / (VOWEL_COUNT * ENDINGS)
        target[1] = VOWELS.first + index / ENDINGS % VOWEL_COUNT
        target[2] = TRAILS.first - 1 + index % ENDINGS
        return if (index % ENDINGS == 0) 2 else 3
    }

    /** The syllable of a lead and a vowel, or of one without a trail and a trail; −1 of any others. */
    fun compose(first: Int, second: Int): Int = when {
        first in LEADS && second in VOWELS ->
            FIRST + ((first - LEADS.first) * VOWEL_COUNT + second - VOWELS.first) * ENDINGS
        isOpen(first) && second in TRAILS -> first + second - TRAILS.first + 1
        else -> NONE
    }
}
