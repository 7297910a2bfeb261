package dev.edgepack.core

import java.io.ByteArrayOutputStream
import java.util.zip.Deflater
import kotlin.test.Test
import kotlin.test.assertContentEquals
import kotlin.test.assertEquals
import kotlin.test.assertFailsWith
import kotlin.test.assertTrue

/** Byte-level BPE by a vocabulary of a few merges, written here: what each option does, and what no reference takes. */
class BytePairTest {
    private val plain = TinyBytePairs()

    @Test
    fun mergesGoInOrderAndNotAcrossPieces() {
        assertEquals(listOf("the", "Ġthe", "Ġ", "Ġthe"), plain.tokens("the the  the"))
        assertEquals(listOf("t", "'", "t", "h", "1"), plain.tokens("t'th1")) // 't is a contraction, th1 no piece
        assertEquals(listOf("the", "\t", "Ġthe"), plain.tokens("the\t the"))
        assertEquals(listOf("Ġ", "Ġ"), plain.tokens("  "))
        assertEquals(emptyList(), plain.tokens(""))
    }

    @Test
    fun aByteHasTheOffsetsOfItsCharacter() {
        val encoding = plain.read().encode("é\uD83D\uDE00")
        assertEquals(listOf(0, 0, 1, 1, 1, 1), encoding.starts.asList())
        assertEquals(listOf(1, 1, 3, 3, 3, 3), encoding.ends.asList())
    }

    @Test
    fun aSpaceIsPutFirstAndTrimmed() {
        val prefixed = TinyBytePairs(flags = 1)
        assertEquals(listOf("Ġthe", "Ġthe"), prefixed.tokens("the the"))
        assertEquals(listOf(0 to 3, 3 to 7), prefixed.offsets("the the"))
        assertEquals(listOf("Ġthe"), prefixed.tokens(" the"))
        assertEquals(listOf("Ġ", "\t", "t"), prefixed.tokens("\tt"))
        assertEquals(listOf(1 to 3, 4 to 7), TinyBytePairs(flags = 3).offsets("the the"))
        assertEquals(listOf(0 to 3, 4 to 7), TinyBytePairs(flags = 7).offsets("the the"))
        assertEquals(listOf(0 to 4, 5 to 8), TinyBytePairs(flags = 7).offsets(" the the")) // a real one, too
    }

    @Test
    fun addedTokensAreFoundBeforeAndAfterTheOthers() {
        val added = listOf(Added(0, 1, "<m>"), Added(1, 2, "<m>>"), Added(2, 7, "the"), Added(3, 4, "m>"))
        val asset = TinyBytePairs(added = added)
        assertEquals(listOf("#0", "#3", "#1"), asset.tokens("  <m>m><m>> "))
        assertEquals(listOf(0 to 5, 5 to 7, 7 to 12), asset.offsets("  <m>m><m>> "))
        assertEquals(listOf("t", "#2", "h"), asset.tokens("t the h"))
        assertEquals(listOf(0 to 1, 1 to 6, 6 to 7), asset.offsets("t the h"))
        assertEquals(listOf(0 to 1, 2 to 5, 6 to 7), TinyBytePairs(2, added).offsets("t the h"))
    }

    @Test
    fun halfASurrogatePairIsAReplacementCharacter() {
        val tokenizer = TinyBytePairs(flags = 3).read()
        for (half in listOf("\uD800", "\uDC00")) {
            assertContentEquals(tokenizer.encode("t\uFFFDh").ids, tokenizer.encode("t${half}h").ids)
            assertContentEquals(tokenizer.encode("t\uFFFDh").ends, tokenizer.encode("t${half}h").ends)
        }
    }

    @Test
    fun wordsStandBetweenSpacesWithoutThePunctuationAtTheirEnds() {
        val tokenizer = TinyBytePairs(flags = 3).read()
        fun words(text: String): List<String> {
            val encoding = tokenizer.encode(text)
            val tokens = encoding.words.indices.filter { encoding.words[it] >= 0 }.groupBy { encoding.words[it] }
            assertEquals(tokens.keys.indices.toList(), tokens.keys.toList(), "numbered in order")
            return tokens.values.map { text.substring(encoding.starts[it.first()], encoding.ends[it.last()]) }
        }
        assertEquals(listOf("(", "the", "'", "e'h"), words(" (the'  e'h"))
        assertEquals(listOf("in", "\u4e2d", "the", "."), words("in\u4e2dthe. "))
        assertEquals(emptyList(), words("  "))
        val added = TinyBytePairs(flags = 3, added = listOf(Added(0, 0, "<m>"))).read().encode("<m>he")
        assertEquals(listOf(0, 0, 0), added.words.asList()) // the second is the space that is put before "he"
    }

    @Test
    fun aLongWordIsQuickAndCutsEndIt() {
        val start = System.nanoTime()
        assertEquals(LONG / 8, plain.read().encode("h".repeat(LONG)).size)
        assertEquals(5, plain.read().encode("the ".repeat(LONG), maxLength = 5).size)
        assertTrue(System.nanoTime() - start < 20e9, "steps by the square of $LONG letters")
    }

    @Test
    fun whatNoWriterMeansIsRefused() {
        val bad = listOf(
            TinyBytePairs(kind = 2),
            TinyBytePairs(size = 200),
            TinyBytePairs(merges = listOf(Triple('t'.code, 300, 256))),
            TinyBytePairs(merges = listOf(Triple('t'.code, 'h'.code, 258))),
            TinyBytePairs(merges = listOf(Triple('t'.code, 'h'.code, 255))),
            TinyBytePairs(classes = classesWith(0, listOf(' '.code))), // a letter, too: no end of a run of spaces
            TinyBytePairs(classes = classesWith(2, listOf('\t'.code))), // or no gap
        )
        for (asset in bad) assertFailsWith<DamagedFileException> { asset.read() }
        assertFailsWith<DamagedFileException> { readTokenizer(plain.bytes() + ByteArray(4)) }
    }

    private fun classesWith(list: Int, points: List<Int>): List<List<Int>> =
        TinyBytePairs.CLASSES.mapIndexed { i, it -> if (i == list) points else it }

    private companion object {
        const val LONG = 200_000
    }
}

/** An added token: id, flags, content. */
private class Added(val id: Int, val flags: Int, val content: String)

/** Writes a `tokenizer.bin`, version 2; symbol n has the id n + [OTHERS], and there is no frame. */
private class TinyBytePairs(
    private val flags: Int = 0,
    private val added: List<Added> = emptyList(),
    private val kind: Int = 1,
    private val size: Int = 300,
    private val merges: List<Triple<Int, Int, Int>> = MERGES,
    private val classes: List<List<Int>> = CLASSES,
) {
    fun read(): Tokenizer = readTokenizer(bytes())

    /** Tokens as a vocabulary writes them; `#n` is an added one. */
    fun tokens(text: String): List<String> = read().encode(text).ids.map { id ->
        if (id < OTHERS) "#$id" else spelled(id - OTHERS).replace(' ', 'Ġ')
    }

    fun offsets(text: String): List<Pair<Int, Int>> = read().encode(text).run { starts.zip(ends) }

    private fun spelled(symbol: Int): String {
        val merge = merges.firstOrNull { it.third == symbol } ?: return symbol.toChar().toString()
        return spelled(merge.first) + spelled(merge.second)
    }

    fun bytes(): ByteArray {
        val header = Stream().numbers(kind, flags, size, added.size)
        for (token in added) header.numbers(token.id, token.flags).string(token.content)
        header.numbers(1, 1, 0, 0).numbers(2, 1, 0, 0, 2, 0, 0)
        val symbols = maxOf(256, (merges.maxOfOrNull { it.third } ?: 0) + 1)
        val ids = Stream().numbers(2 * OTHERS, *IntArray(symbols - 1))
        var new = 256
        val results = Stream()
        for (merge in merges) {
            results.numbers(if (merge.third >= new) 2 * (merge.third - new) else 2 * (new - merge.third) - 1)
            new = maxOf(new, merge.third + 1)
        }
        val ranges = Stream()
        for (points in classes) ranges.ranges(points)
        val out = ByteArrayOutputStream()
        out.write("EPTK\u0002".toByteArray())
        val streams = listOf(header, ids, planes { it.first }, planes { it.second }, results, ranges)
        for (stream in streams) out.write(stream.packed())
        return out.toByteArray()
    }

    private fun planes(of: (Triple<Int, Int, Int>) -> Int): Stream {
        val stream = Stream()
        for (shift in listOf(0, 8, 16)) for (merge in merges) stream.byte(of(merge) shr shift)
        return stream
    }

    companion object {
        private const val OTHERS = 4
        private val MERGES = listOf(
            Triple('h'.code, 'e'.code, 256),
            Triple('t'.code, 256, 257),
            Triple(' '.code, 't'.code, 258),
            Triple(258, 256, 259), // "Ġthe"
            Triple('t'.code, '\''.code, 260),
            Triple('h'.code, '1'.code, 261),
            Triple('h'.code, 'h'.code, 262),
            Triple(262, 262, 263),
            Triple(263, 263, 264),
            Triple(' '.code, 257, 259), // the same by another way
            Triple(0xE4, 0xB8, 265),
            Triple(265, 0xAD, 266), // U+4E2D
        )
        val CLASSES = listOf(
            ('A'.code..'Z'.code) + ('a'.code..'z'.code) + listOf(0xE9, 0x4E2D),
            ('0'.code..'9'.code).toList(),
            listOf(9, 10, 32, 0x3000),
            listOf(9, 10, 32, 0x3000),
            "'().<>".map { it.code }.sorted(),
            listOf(0x4E2D),
        )
    }
}

/** A stream of `tokenizer.bin`. */
private class Stream {
    private val out = ByteArrayOutputStream()

    fun byte(value: Int) = out.write(value)

    fun numbers(vararg values: Int): Stream {
        for (value in values) {
            var rest = value
            while (rest > 0x7F) {
                byte(rest and 0x7F or 0x80)
                rest = rest ushr 7
            }
            byte(rest)
        }
        return this
    }

    fun string(text: String): Stream {
        numbers(text.toByteArray().size)
        out.write(text.toByteArray())
        return this
    }

    /** A range for each code point. */
    fun ranges(points: List<Int>) {
        numbers(points.size)
        var end = 0
        for (point in points) {
            numbers(point - end, 1)
            end = point + 1
        }
    }

    /** Its packed size, little-endian, and its zlib bytes. */
    fun packed(): ByteArray {
        val deflater = Deflater()
        deflater.setInput(out.toByteArray())
        deflater.finish()
        val block = ByteArray(out.size() + 64)
        val size = deflater.deflate(block)
        deflater.end()
        return ByteArray(4) { (size shr 8 * it).toByte() } + block.copyOf(size)
    }
}
