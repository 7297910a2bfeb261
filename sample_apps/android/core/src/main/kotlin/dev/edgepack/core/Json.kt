package dev.edgepack.core

/**
 * A strict JSON reader for the bundle's manifest: this module depends on nothing, and `org.json` is Android's alone.
 *
 * Objects become `Map<String, Any?>`, arrays `List<Any?>`, numbers `Long` where they are whole and fit, else `Double`.
 */
class Json private constructor(private val text: String) {
    private var at = 0
    private var depth = 0

    private fun document(): Any? {
        val value = value()
        skipSpaces()
        if (at < text.length) fail("more after the end")
        return value
    }

    private fun value(): Any? {
        skipSpaces()
        return when (peek()) {
            '{' -> nested(::objectBody)
            '[' -> nested(::arrayBody)
            '"' -> string()
            't' -> word("true", true)
            'f' -> word("false", false)
            'n' -> word("null", null)
            else -> number()
        }
    }

    private fun <T> nested(body: () -> T): T {
        if (++depth > DEEPEST) fail("more than $DEEPEST levels")
        at++
        return body().also { depth-- }
    }

    private fun objectBody(): Map<String, Any?> {
        val out = LinkedHashMap<String, Any?>()
        if (endsHere('}')) return out
        do {
            skipSpaces()
            val key = string()
            skipSpaces()
            expect(':')
            out[key] = value()
        } while (goesOn('}'))
        return out
    }

    private fun arrayBody(): List<Any?> {
        val out = ArrayList<Any?>()
        if (endsHere(']')) return out
        do out.add(value()) while (goesOn(']'))
        return out
    }

    private fun endsHere(close: Char): Boolean {
        skipSpaces()
        if (peek() != close) return false
        at++
        return true
    }

    private fun goesOn(close: Char): Boolean {
        skipSpaces()
        return when (peek()) {
            ',' -> true
            close -> false
            else -> fail("neither , nor $close")
        }.also { at++ }
    }

    private fun string(): String {
        expect('"')
        val out = StringBuilder()
        while (true) {
            when (val char = next()) {
                '"' -> return out.toString()
                '\\' -> out.append(escape())
                else -> if (char < ' ') fail("a control character in a string") else out.append(char)
            }
        }
    }

    private fun escape(): Char = when (val char = next()) {
        '"', '\\', '/' -> char
        'b' -> '\b'
        'f' -> '\u000C'
        'n' -> '\n'
        'r' -> '\r'
        't' -> '\t'
        'u' -> unicode()
        else -> fail("the escape \\$char")
    }

    private fun unicode(): Char {
        var code = 0
        repeat(4) {
            val digit = Character.digit(next(), 16)
            if (digit < 0) fail("an escape that is not hexadecimal")
            code = code * 16 + digit
        }
        return code.toChar()
    }

    private fun number(): Any {
        val from = at
        while (at < text.length && (text[at].isDigit() || text[at] in "+-.eE")) at++
        val token = text.substring(from, at)
        if (!isNumber(token)) fail("no JSON value", from)
        return token.toLongOrNull() ?: token.toDouble()
    }

    private fun word(word: String, value: Any?): Any? {
        if (!text.startsWith(word, at)) fail("no JSON value")
        at += word.length
        return value
    }

    private fun expect(char: Char) {
        if (next() != char) fail("not the $char that must stand here", at - 1)
    }

    private fun peek(): Char = if (at < text.length) text[at] else fail("the end, too early")

    private fun next(): Char = peek().also { at++ }

    private fun skipSpaces() {
        while (at < text.length && text[at] in " \t\r\n") at++
    }

    private fun fail(what: String, where: Int = at): Nothing =
        throw BundleException("no JSON: $what at character $where")

    companion object {
        private const val DEEPEST = 64

        /** The value in [text]; [BundleException] where it is no JSON document. */
        fun parse(text: String): Any? = Json(text).document()

        /** JSON's own grammar, narrower than Kotlin's: no leading zeros, a digit on both sides of the point. */
        private fun isNumber(token: String): Boolean {
            var at = if (token.startsWith('-')) 1 else 0
            fun digits(): Int {
                val from = at
                while (at < token.length && token[at] in '0'..'9') at++
                return at - from
            }
            val leading = at
            val whole = digits()
            if (whole == 0 || whole > 1 && token[leading] == '0') return false
            if (at < token.length && token[at] == '.') {
                at++
                if (digits() == 0) return false
            }
            if (at < token.length && token[at] in "eE") {
                at++
                if (at < token.length && token[at] in "+-") at++
                if (digits() == 0) return false
            }
            return at == token.length
        }
    }
}
