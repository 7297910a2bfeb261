package dev.edgepack.core.normalizer

import dev.edgepack.core.ByteReader
import dev.edgepack.core.Hangul
import dev.edgepack.core.UnicodeTable

private const val MOST_STEPS = 100
private const val MOST_GROWTH = 1_000L
private const val LONGEST_KEY = 64 // code points, and of a value
private const val STRIP_LEFT = 1
private const val STRIP_RIGHT = 2

/** The normalizer in the last stream of an asset; an empty one where there is no such stream. */
internal fun readNormalizer(reader: ByteReader?): Normalizer {
    if (reader == null) return Normalizer(emptyList())
    var growth = 1L
    val steps = List(reader.number(MOST_STEPS + 1)) {
        val step = readStep(reader)
        growth *= step.growth
        check(growth <= MOST_GROWTH) { "a normalizer that may write $growth code points for one" }
        step
    }
    return Normalizer(steps)
}

private fun readStep(reader: ByteReader): Step = when (val kind = reader.number()) {
    1 -> readDecompose(reader)
    2 -> Mapping(UnicodeTable(decomposesHangul = false).also { it.readFolds(reader) })
    3 -> readCharacterMap(reader)
    4 -> Replace(reader.text().also { check(it.isNotEmpty()) { "an empty string to replace" } }, reader.text())
    5 -> readRuns(reader)
    6 -> readStrip(reader)
    else -> throw IllegalStateException("a step of kind $kind in the normalizer")
}

private fun readDecompose(reader: ByteReader): Step {
    val composes = reader.number(2) == 1
    val table = UnicodeTable(decomposesHangul = true)
    table.readFolds(reader)
    table.readRanks(reader)
    if (!composes) return Decompose(table, null)
    val count = reader.count()
    val points = reader.ascending(count)
    val first = reader.points(count)
    val second = reader.points(count)
    for (point in second) table.flag(UnicodeTable.JOINS, point, point + 1)
    for (jamo in listOf(Hangul.VOWELS, Hangul.TRAILS)) table.flag(UnicodeTable.JOINS, jamo.first, jamo.last + 1)
    val entries = LongArray(count) { NumberMap.entry(Decompose.key(first[it], second[it]), points[it]) }
    return Decompose(table, NumberMap(entries))
}

private fun readCharacterMap(reader: ByteReader): Step {
    val classes = UnicodeTable(decomposesHangul = false)
    for (flag in Clusters.IN_ORDER) classes.flag(flag, reader)
    val single = UnicodeTable(decomposesHangul = false)
    single.readFolds(reader)
    val count = reader.count()
    val entries = LongArray(count)
    var kept = 0
    var pool = IntArray(256)
    var size = 0
    var growth = single.longestFold
    repeat(count) {
        val key = readPoints(reader)
        check(key.size > 1) { "a key of ${key.size} code points among the longer ones" }
        val value = readPoints(reader)
        growth = maxOf(growth, value.size)
        val bytes = key.fold(LongKeys.EMPTY) { bytes, point ->
            if (LongKeys.isTooLong(bytes)) bytes else LongKeys.append(bytes, point)
        }
        if (!LongKeys.isTooLong(bytes)) { // no cluster that is looked up begins with another
            check(size < 1 shl NumberMap.VALUE_BITS) { "$size code points to become" }
            entries[kept++] = NumberMap.entry(bytes, size)
            if (size + value.size >= pool.size) pool = pool.copyOf((size + value.size) * 2)
            pool[size] = value.size
            value.copyInto(pool, size + 1)
            size += value.size + 1
        }
    }
    val several = LongKeys(NumberMap(entries.copyOf(kept)), pool.copyOf(size))
    return CharacterMap(single, several, Clusters(classes), growth)
}

private fun readPoints(reader: ByteReader): IntArray = reader.points(reader.number(LONGEST_KEY + 1))

private fun readRuns(reader: ByteReader): Step {
    val table = UnicodeTable(decomposesHangul = false)
    table.flag(ReplaceRuns.RUN, reader)
    val least = reader.number()
    check(least > 0) { "runs of no length to replace" }
    table.flag(ReplaceRuns.SINGLE, reader)
    return ReplaceRuns(table, least, reader.text())
}

private fun readStrip(reader: ByteReader): Step {
    val flags = reader.number((STRIP_LEFT or STRIP_RIGHT) + 1)
    val spaces = UnicodeTable(decomposesHangul = false)
    spaces.flag(1, reader)
    return Strip(flags and STRIP_LEFT != 0, flags and STRIP_RIGHT != 0, spaces)
}
