package dev.edgepack.core

import kotlin.test.Test
import kotlin.test.assertEquals
import kotlin.test.assertFailsWith
import kotlin.test.assertTrue

class JsonTest {
    @Test
    fun everyKindOfValue() {
        val text = """ {"a": [1, -2.5e1, true, false, null, {}], "ü\n\u00e9\ud83d\ude00\"\/": "", "n": 12345678901} """
        val expected = mapOf(
            "a" to listOf(1L, -25.0, true, false, null, emptyMap<String, Any?>()),
            "ü\né😀\"/" to "",
            "n" to 12345678901L,
        )
        assertEquals<Any?>(expected, Json.parse(text))
        assertEquals(0L, Json.parse("0"))
        assertEquals(emptyList<Any?>(), Json.parse("[ ]"))
    }

    @Test
    fun whatIsNoJsonIsRefusedWithThePlace() {
        val bad = listOf(
            "", "{", "[1,]", "[1 2]", "{\"a\" 1}", "{a: 1}", "01", "1.", ".5", "+1", "-", "1e", "tru", "nul",
            "\"", "\"\\x\"", "\"\\u12g4\"", "\"\u0001\"", "[1] 2", "{\"a\":1,}", "'a'", "NaN", "[".repeat(100),
        )
        for (text in bad) {
            val error = assertFailsWith<BundleException>(text) { Json.parse(text) }
            assertTrue("at character" in error.message, error.message)
        }
    }
}
