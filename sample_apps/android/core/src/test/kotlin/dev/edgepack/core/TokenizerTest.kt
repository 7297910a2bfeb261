package dev.edgepack.core

import java.io.File
import kotlin.test.Test
import kotlin.test.assertContentEquals
import kotlin.test.assertEquals
import kotlin.test.assertFailsWith
import kotlin.test.assertTrue

/**
 * What goldens do not say: reuse, cutting, words, and input that no reference takes.
 *
 * Where a test needs to know the tokens, it is of WordPiece; [BytePairTest] has those of byte-level BPE.
 */
class TokenizerTest {
    private val file = File(Goldens.folders[0], "tokenizer.bin")
    private val tokenizer = Tokenizer.load(file)
    private val isWordPiece = file.readBytes()[4].toInt() == 1

    @Test
    fun callsDoNotDisturbEachOther() {
        val text = "turn it up, please"
        val before = tokenizer.encode(text).ids
        tokenizer.encode("e\u0301".repeat(3000) + " x".repeat(3000))
        tokenizer.encode("\u0301\u0338")
        assertContentEquals(before, tokenizer.encode(text).ids)
    }

    @Test
    fun cuttingKeepsTheFrame() {
        if (!isWordPiece) return
        val whole = tokenizer.encode("a b c d e f g")
        val cut = tokenizer.encode("a b c d e f g", maxLength = 5)
        assertEquals(5, cut.size)
        assertContentEquals(whole.ids.copyOf(4), cut.ids.copyOf(4))
        assertEquals(whole.ids.last(), cut.ids.last())
        assertEquals(2, tokenizer.encode("a b c", maxLength = 2).size)
        assertFailsWith<IllegalArgumentException> { tokenizer.encode("a", maxLength = 1) }
    }

    @Test
    fun theLongerTextOfAPairGivesWay() {
        if (!isWordPiece) return
        fun sizes(first: Int, second: Int, maxLength: Int): Pair<Int, Int> {
            val frame = tokenizer.encode("", "").size
            val got = tokenizer.encode("a ".repeat(first), "b ".repeat(second), maxLength)
            val a = tokenizer.encode("a").ids[1]
            val firsts = got.ids.count { it == a }
            return firsts to got.size - frame - firsts
        }
        assertEquals(3 to 2, sizes(3, 2, 100))
        assertEquals(5 to 2, sizes(9, 2, 10))
        assertEquals(2 to 5, sizes(2, 9, 10))
        assertEquals(4 to 3, sizes(9, 8, 10)) // 9 and 8 are both more than 7: halves, the odd one to the longer text
        assertEquals(3 to 4, sizes(8, 8, 10))
    }

    @Test
    fun wordsStandBetweenSpacesWithoutThePunctuationAtTheirEnds() {
        if (!isWordPiece) return
        fun words(text: String): List<String> {
            return tokenizer.words(text, tokenizer.encode(text)).map { text.substring(it.start, it.end) }
        }
        assertEquals(listOf("it's", "now", "ok"), words("  it's\tnow \u3000 ok"))
        assertEquals(listOf("(", "it's", ",", "e-mail", ")", ".", "."), words("(it's, e-mail).."))
        assertEquals(listOf("in", "\u4e2d", "\u6587", "a", "!"), words("in\u4e2d\u6587a!"))
        assertEquals(listOf(".", "."), words(".."))
        assertEquals(emptyList(), words(" "))
    }

    @Test
    fun halfASurrogatePairIsAReplacementCharacter() {
        assertContentEquals(tokenizer.encode("a\uFFFDb").ids, tokenizer.encode("a\uD800b").ids)
        assertContentEquals(tokenizer.encode("a\uFFFD").ids, tokenizer.encode("a\uDC00").ids)
        assertTrue(tokenizer.encode("\uD83D").size >= 2)
    }
}
