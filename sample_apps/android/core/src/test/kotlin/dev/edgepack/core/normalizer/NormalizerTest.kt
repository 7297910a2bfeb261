package dev.edgepack.core.normalizer

import dev.edgepack.core.ByteReader
import dev.edgepack.core.SourceText
import dev.edgepack.core.Stream
import dev.edgepack.core.codes
import kotlin.test.Test
import kotlin.test.assertEquals
import kotlin.test.assertFails

/** The steps of a normalizer, by small tables written here: what they do to letters and to where these come from. */
class NormalizerTest {
    @Test
    fun lettersAreMappedWhereTheyStand() {
        val lower = steps(map("A" to "a", "B" to "A", "\u0130" to "i\u0307"))
        assertEquals("a0-1 A1-2 c2-3", lower.apply("ABc"))
        assertEquals("x0-1 i1-2 \u03071-2 A2-3", lower.apply("x\u0130B"))
        assertEquals("A0-1 A1-2 i2-3 \u03072-3", lower.apply("BB\u0130")) // what is mapped is not mapped again
    }

    @Test
    fun aLetterThatBecomesNothingIsCountedToTheLastOne() {
        val strip = steps(map("\u0301" to ""))
        assertEquals("e0-1 a2-3", strip.apply("e\u0301a"))
        assertEquals("a1-2", strip.apply("\u0301a")) // at the start it is just gone
        assertEquals("", strip.apply("\u0301\u0301"))
        val put = steps(map("E" to "ex", "\u0301" to "")) // counted to a letter that was put in
        assertEquals("e0-1 x1-2 a2-3", put.apply("E\u0301a"))
    }

    @Test
    fun marksAreSortedAndOffsetsStay() {
        val nfd = decompose(composes = false)
        assertEquals("a0-1 \u03231-2 \u03012-3", nfd.apply("a\u0301\u0323"))
        assertEquals("e0-1 \u03231-2 \u03011-2", nfd.apply("\u00e9\u0323")) // what is put in is of the letter before
        assertEquals("\u03230-1 \u03011-2", nfd.apply("\u0301\u0323"))
        assertEquals("\u03010-1 \u03011-2", nfd.apply("\u0301\u0301"))
        assertEquals("\u11000-1 \u11610-1 \u11A80-1", nfd.apply("\uac01"))
    }

    @Test
    fun startersTakeUpWhatFollows() {
        val nfc = decompose(composes = true)
        assertEquals("\u00e90-1 x2-3", nfc.apply("e\u0301x"))
        assertEquals("\u00e90-1", nfc.apply("\u00e9"))
        assertEquals("\u00e90-1 \u03232-3", nfc.apply("e\u0323\u0301")) // over a mark of a lower rank
        assertEquals("e0-1 \u03081-2 \u03012-3", nfc.apply("e\u0308\u0301")) // not over one of the same
        assertEquals("\uac010-1", nfc.apply("\u1100\u1161\u11a8"))
        assertEquals("\uac010-1", nfc.apply("\uac00\u11a8"))
        assertEquals("\u03010-1 e1-2", nfc.apply("\u0301e"))
    }

    @Test
    fun aMapTakesTheShortestKeyOfACluster() {
        val keys = listOf("a\u0301" to "A", "b\u0301" to "xyz", "\r\n" to " ")
        val map = steps(characterMap(listOf("\u0001" to "", "f" to "ff", "c" to "C"), keys))
        assertEquals("A0-1 b2-3", map.apply("a\u0301b"))
        assertEquals("A0-1 b3-4", map.apply("a\u0301\u0301b")) // a cluster as a whole
        assertEquals("x0-1 y1-2 z1-2", map.apply("b\u0301"))
        assertEquals("C0-1", map.apply("c\u0301")) // by the key of its first letter
        assertEquals("C0-1 \u03011-2 \u03012-3 \u03013-4", map.apply("c\u0301\u0301\u0301")) // seven bytes
        assertEquals("f0-1 f0-1 a1-2", map.apply("fa"))
        assertEquals(" 0-1 d2-3", map.apply("\r\nd"))
        assertEquals("d0-1 e2-3", map.apply("d\u0001e"))
        assertEquals("e0-1", map.apply("\u0001e")) // nothing to count it to: offsets stay behind, as the library's do
        assertEquals("d0-1 e1-2", map.apply("de"))
    }

    @Test
    fun stringsAreReplacedAndStandForTheirLastLetter() {
        val quotes = steps(Stream().numbers(4).string("``").string("\""))
        assertEquals("\"1-2 a2-3 \"4-5 `5-6", quotes.apply("``a```"))
        assertEquals("`0-1", quotes.apply("`"))
        assertEquals("b2-3 c2-3", steps(Stream().numbers(4).string("aaa").string("bc")).apply("aaa"))
    }

    @Test
    fun runsAreReplacedAndSingleOnesOutsideThem() {
        val runs = steps(Stream().numbers(5).ranges(listOf(9, 32)).numbers(3).ranges(listOf(9)).string("_"))
        assertEquals("a0-1 _3-4 b4-5", runs.apply("a   b"))
        assertEquals("a0-1  1-2 _2-3 b3-4", runs.apply("a \tb"))
        assertEquals("a0-1  1-2  2-3", runs.apply("a  "))
        val long = steps(Stream().numbers(5).ranges(listOf(32)).numbers(1_000_000).ranges(listOf(9)).string("_"))
        assertEquals(200_001, long.apply("\t" + " ".repeat(200_000)).split('-').size - 1) // not by the square
    }

    @Test
    fun spacesAtTheEndsGo() {
        fun strip(flags: Int) = steps(Stream().numbers(6, flags).ranges(listOf(32)))
        assertEquals("a1-2  2-3", strip(1).apply(" a "))
        assertEquals(" 0-1 a1-2", strip(2).apply(" a "))
        assertEquals("a1-2", strip(3).apply(" a "))
        assertEquals("", strip(3).apply("   "))
        assertEquals(" 0-1", strip(0).apply(" "))
    }

    @Test
    fun stepsFollowEachOtherInAnyPartOfAText() {
        val both = steps(map("A" to "a", "\u00c4" to "a\u0308"), Stream().numbers(4).string("a\u0308").string("ae"))
        assertEquals("a0-1 a1-2 e1-2 b2-3", both.apply("A\u00c4b"))
        assertEquals("a3-4 e3-4", both.apply("x\uD83D\uDE00\u00c4", from = 2))
    }

    @Test
    fun whatNoWriterMeansIsRefused() {
        val bad = listOf(
            Stream().numbers(101),
            Stream().numbers(1, 0),
            Stream().numbers(1, 7),
            Stream().numbers(1, 1, 2), // composes or not
            Stream().numbers(1, 4).string("").string("a"),
            Stream().numbers(1, 5).ranges(listOf(32)).numbers(0).ranges(emptyList()).string(""),
            Stream().numbers(1, 6, 4).ranges(listOf(32)),
            Stream().numbers(1, 6, 1, 1, 0, 0x110001), // a range beyond the last code point
            Stream().numbers(1, 2, 1, 0x110000, 1, 0), // a code point that is none
            Stream().numbers(1, 2, 2, 65, 0, 1, 1, 2, 2), // one twice
            Stream().numbers(1, 2, 1, 65, 65).signed(*IntArray(65) { 1 }), // 65 for one
            Stream().numbers(1, 2, 1, 65, 1).signed(-1),
            Stream().numbers(1, 3, *IntArray(11)).folds().numbers(1, 1).signed(97).numbers(0), // a key of one
            Stream().numbers(4).also { stream -> repeat(4) { stream.numbers(4).string("a").string("aaaaaa") } },
            Stream().numbers(1, 4, 1, 0xFF, 0), // no UTF-8
        )
        for (stream in bad) assertFails { readNormalizer(ByteReader(stream.bytes())) }
        val most = Stream().numbers(3)
        repeat(3) { most.numbers(4).string("a").string("a".repeat(10)) }
        assertEquals(1000, readNormalizer(ByteReader(most.bytes())).apply("a").split('-').size - 1)
    }

    private fun steps(vararg steps: Stream): Normalizer {
        val bytes = steps.fold(Stream().numbers(steps.size).bytes()) { all, step -> all + step.bytes() }
        return readNormalizer(ByteReader(bytes))
    }

    private fun map(vararg folds: Pair<String, String>): Stream = Stream().numbers(2).folds(*folds)

    private fun decompose(composes: Boolean): Normalizer {
        val step = Stream().numbers(1, if (composes) 1 else 0).folds("\u00e9" to "e\u0301")
        step.ranks("\u0301" to 2, "\u0308" to 2, "\u0323" to 1)
        if (composes) step.numbers(1, 0xe9).signed('e'.code).signed(0x301)
        return steps(step)
    }

    private fun characterMap(single: List<Pair<String, String>>, several: List<Pair<String, String>>): Stream {
        val step = Stream().numbers(3)
        val classes = mapOf(Clusters.CONTROL to listOf(1, 10, 13), Clusters.EXTENDING to listOf(0x301))
        for (flag in Clusters.IN_ORDER) step.ranges(classes[flag].orEmpty())
        step.folds(*single.sortedBy { it.first }.toTypedArray()).numbers(several.size)
        for (text in several.flatMap { it.toList() }) {
            step.numbers(text.codes().size)
            step.steps(text.codes()) { step.signed(*it) }
        }
        return step
    }

    /** Letters with where they come from. */
    private fun Normalizer.apply(text: String, from: Int = 0): String {
        val letters = Letters().also { it.load(SourceText().also { source -> source.load(text) }) }
        val out = normalized(letters, from, letters.size)
        return (0 until out.size).joinToString(" ") {
            String(Character.toChars(out.points[it])) + "${out.starts[it]}-${out.ends[it]}"
        }
    }
}
