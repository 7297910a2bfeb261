package dev.edgepack.core

import kotlin.test.Test
import kotlin.test.assertEquals
import kotlin.test.assertFailsWith
import kotlin.test.assertTrue

/** Unigram by a vocabulary of a few pieces, written here: what each option does, and what no reference takes. */
class UnigramTest {
    private val plain = TinyUnigram()

    @Test
    fun theMostLikelySplitIsTakenAndOfEqualOnesTheFirst() {
        assertEquals(listOf("ab", "c"), plain.tokens("abc")) // -2 - 1, before a + bc: -1 - 3
        assertEquals(listOf("x", "xx"), plain.tokens("xxx")) // xx + x is as likely, but its last piece begins later
        assertEquals(listOf("ab", "ab"), plain.tokens("abab"))
        assertEquals(emptyList(), plain.tokens(""))
    }

    @Test
    fun theScoresOf64BitsAreNotRounded() {
        val letters = listOf("<unk>" to 0.0, "a" to -1.0, "b" to -1.0)
        fun tokens(score: Double) = TinyUnigram(pieces = letters + ("ab" to score), flags = WIDE).tokens("ab")
        assertEquals(listOf("ab"), tokens(-2.0 + 1e-12))
        assertEquals(listOf("a", "b"), tokens(-2.0 - 1e-12))
    }

    @Test
    fun unknownNeighboursAreOneTokenOrTheirBytes() {
        assertEquals(listOf("a", "<unk>", "b"), plain.tokens("aéñb"))
        assertEquals(listOf(0 to 1, 1 to 3, 3 to 4), plain.offsets("aéñb"))
        assertEquals(listOf("<unk>", "a"), plain.tokens("<unk>éa")) // the piece itself is unknown, too
        val unlikely = TinyUnigram(pieces = listOf("<unk>" to 50.0, "qr" to 30.0)) // less than two unknown letters
        assertEquals(listOf("qr"), unlikely.tokens("qr")) // which are a piece together
        val bytes = TinyUnigram(flags = BYTE_FALLBACK)
        assertEquals(listOf("a", "<0xC3>", "<0xA9>", "b"), bytes.tokens("aéb"))
        assertEquals(listOf(0 to 1, 1 to 2, 1 to 2, 2 to 3), bytes.offsets("aéb"))
        assertEquals(listOf("<unk>"), bytes.tokens("éñ")) // 0xB1 is no piece, so none is taken
    }

    @Test
    fun spacesAreShownAndStretchesBeginAtThem() {
        assertEquals(listOf("_a", "_ab"), shown(scheme = 2).tokens("a ab"))
        assertEquals(listOf(0 to 1, 1 to 4), shown(scheme = 2).offsets("a ab"))
        assertEquals(listOf("_a", "_ab"), shown(scheme = 2).tokens(" a_ab"))
        assertEquals(listOf("a", "_ab"), shown(scheme = 0).tokens("a ab"))
        assertEquals(listOf("a_a"), shown(scheme = 0, splits = false).tokens("a a"))
        val added = listOf(Added(1, 0, "<m>"))
        assertEquals(listOf("_a", "#1", "a"), shown(scheme = 1, added = added).tokens("a<m>a"))
        assertEquals(listOf("_a", "#1", "_a"), shown(scheme = 2, added = added).tokens("a<m>a"))
    }

    @Test
    fun textsAreCutAtSpacesAndMarksFirst() {
        val both = TinyUnigram(splitting = listOf(listOf(1), listOf(2)))
        assertEquals(listOf("a", ".", ".", "ab"), both.tokens(" a.. ab "))
        assertEquals(listOf(1 to 2, 2 to 3, 3 to 4, 5 to 7), both.offsets(" a.. ab "))
        val then = TinyUnigram(splitting = listOf(listOf(1), METASPACE + listOf(2, 1)))
        assertEquals(listOf("_a", "_ab", "_a"), then.tokens("a ab  a"))
        assertEquals(listOf(0 to 1, 2 to 4, 6 to 7), then.offsets("a ab  a"))
    }

    @Test
    fun offsetsLeaveOutSpaces() {
        val pieces = TinyUnigram.PIECES + listOf(" a" to -1.0, "a " to -1.0)
        fun offsets(flags: Int, text: String) = TinyUnigram(flags = flags, pieces = pieces).offsets(text)
        assertEquals(listOf(0 to 2, 2 to 4), offsets(0, " a a"))
        assertEquals(listOf(1 to 2, 3 to 4), offsets(TRIM, " a a"))
        assertEquals(listOf(0 to 2, 3 to 4), offsets(TRIM or KEEPS_FIRST, " a a"))
        assertEquals(listOf(0 to 1, 2 to 3), offsets(TRIM, "a a "))
    }

    @Test
    fun addedTokensAreFoundBeforeAndAfterNormalization() {
        val lower = Stream().numbers(1, 2).folds("A" to "a", "B" to "b", "\u00c4" to "a\u0308")
        val added = listOf(Added(1, 4 or 2, "ab"), Added(2, 0, "AB"), Added(3, 4, "a\u0308"))
        val asset = TinyUnigram(added = added, normalizer = lower)
        assertEquals(listOf("#2", "#1", "c", "#3"), asset.tokens("ABAb c\u00c4"))
        assertEquals(listOf(0 to 2, 2 to 5, 5 to 6, 6 to 7), asset.offsets("ABAb c\u00c4"))
        assertEquals(listOf("ab"), TinyUnigram(normalizer = lower).tokens("AB"))
    }

    @Test
    fun wordsStandBetweenSpaces() {
        val tokenizer = shown(scheme = 2).read()
        val words = tokenizer.words("a ab. c", tokenizer.encode("a ab. c"))
        assertEquals(listOf("0-1", "2-4", "4-5", "6-7"), words.map { "${it.start}-${it.end}" })
    }

    @Test
    fun aLongTextIsQuickAndCutsEndIt() {
        val start = System.nanoTime()
        assertEquals(LONG / 2, plain.read().encode("x".repeat(LONG)).size)
        assertEquals(1, plain.read().encode("é".repeat(LONG)).size)
        assertEquals(5, shown(scheme = 2).read().encode("a ".repeat(LONG), maxLength = 5).size)
        assertTrue(System.nanoTime() - start < 20e9, "steps by the square of $LONG letters")
    }

    @Test
    fun whatNoWriterMeansIsRefused() {
        val noNumber = TinyUnigram.PIECES.dropLast(1) + ("d" to Double.NaN)
        val bad = listOf(
            TinyUnigram(pieces = noNumber),
            TinyUnigram(pieces = noNumber, flags = WIDE),
            TinyUnigram(unknown = TinyUnigram.PIECES.size),
            TinyUnigram(size = TinyUnigram.PIECES.size - 1),
            TinyUnigram(size = 2_000_000),
            TinyUnigram(splitting = listOf(listOf(0))),
            TinyUnigram(splitting = listOf(listOf(4))),
            TinyUnigram(splitting = List(101) { listOf(1) }),
            TinyUnigram(splitting = listOf(listOf(3, 0, 0, 0))), // no letter
            TinyUnigram(splitting = listOf(listOf(3, 2, '_'.code, '_'.code, 0, 0))),
            TinyUnigram(splitting = listOf(METASPACE + listOf(3, 0))),
            TinyUnigram(splitting = listOf(METASPACE + listOf(0, 2))),
            TinyUnigram(added = listOf(Added(1, 0, ""))),
            TinyUnigram(added = listOf(Added(100, 0, "x"))),
            TinyUnigram(normalizer = Stream().numbers(1, 7)),
        )
        for (asset in bad) assertFailsWith<DamagedFileException> { asset.read() }
        val more = plain.bytes() + Stream().numbers(0).packed() + Stream().packed() // than a normalizer
        assertFailsWith<DamagedFileException> { readTokenizer(more) }
        assertEquals(listOf("a"), TinyUnigram(normalizer = Stream().numbers(0)).tokens("a"))
    }

    private fun shown(scheme: Int, splits: Boolean = true, added: List<Added> = emptyList()): TinyUnigram =
        TinyUnigram(splitting = listOf(METASPACE + listOf(scheme, if (splits) 1 else 0)), added = added)

    private companion object {
        const val LONG = 200_000
        const val BYTE_FALLBACK = 1
        const val TRIM = 2
        const val KEEPS_FIRST = 4
        const val WIDE = 8
        val METASPACE = listOf(3, 1, '_'.code)
    }
}

/** Writes a `tokenizer.bin`, version 2; piece n has the id n, added tokens count from behind, and there is no frame. */
private class TinyUnigram(
    private val flags: Int = 0,
    private val pieces: List<Pair<String, Double>> = PIECES,
    private val splitting: List<List<Int>> = emptyList(),
    private val added: List<Added> = emptyList(),
    private val normalizer: Stream? = null,
    private val unknown: Int = 0,
    private val size: Int = pieces.size + 10,
) {
    fun read(): Tokenizer = readTokenizer(bytes())

    /** Tokens as the vocabulary writes them; `#n` is an added one. */
    fun tokens(text: String): List<String> = read().encode(text).ids.map { id ->
        if (id < pieces.size) pieces[id].first else "#${id - pieces.size}"
    }

    fun offsets(text: String): List<Pair<Int, Int>> = read().encode(text).run { starts.zip(ends) }

    fun bytes(): ByteArray {
        val header = Stream().numbers(2, flags, size, pieces.size, unknown, splitting.size)
        for (step in splitting) header.numbers(*step.toIntArray())
        header.added(added.map { Added(pieces.size + it.id, it.flags, it.content) }).noFrame()
        val lengths = Stream()
        val suffixes = Stream()
        for ((piece, _) in pieces) {
            lengths.numbers(0, piece.toByteArray().size)
            for (byte in piece.toByteArray()) suffixes.byte(byte.toInt())
        }
        val classes = Stream().ranges(listOf(9, 10, 32)).ranges(listOf('.'.code)).ranges(emptyList())
        val streams = listOf(header, lengths, suffixes, scores(), classes)
        return asset(*(if (normalizer == null) streams else streams + normalizer).toTypedArray())
    }

    private fun scores(): Stream {
        val wide = flags and 8 != 0
        val bits = pieces.map { (_, score) -> if (wide) score.toRawBits() else score.toFloat().toRawBits().toLong() }
        val stream = Stream()
        for (plane in 0 until if (wide) 8 else 4) for (score in bits) stream.byte((score ushr 8 * plane).toInt())
        return stream
    }

    companion object {
        val PIECES = listOf(
            "<unk>" to 0.0, "a" to -1.0, "b" to -1.5, "c" to -1.0, "ab" to -2.0, "bc" to -3.0, "x" to -2.0,
            "xx" to -3.0, "." to -2.0, "_" to -2.0, "_a" to -2.0, "_ab" to -3.0, "a_a" to -3.0, "_c" to -4.0,
            "<0xC3>" to -9.0, "<0xA9>" to -9.0, "d" to -1.0,
        )
    }
}
