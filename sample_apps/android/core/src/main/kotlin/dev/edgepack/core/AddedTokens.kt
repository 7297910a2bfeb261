package dev.edgepack.core

/** A token that is matched in the text as it stands; it may swallow the spaces beside it. */
internal class AddedToken(val id: Int, val content: String, flags: Int) {
    val stripsLeft = flags and 1 != 0
    val stripsRight = flags and 2 != 0

    /** Looked for in what is left between the other ones: the library matches it after normalization. */
    val isLate = flags and 4 != 0
}

/** Finds added tokens, the longest first at each place. They are a handful: a list and a look at the first one do. */
internal class AddedTokens(tokens: List<AddedToken>) {
    private val longestFirst =
        tokens.filter { it.content.isNotEmpty() }.sortedByDescending { it.content.length }.toTypedArray()
    private val asciiFirst = BooleanArray(ASCII)
    private val anyOther = longestFirst.any { it.content[0].code >= ASCII }

    init {
        for (token in longestFirst) if (token.content[0].code < ASCII) asciiFirst[token.content[0].code] = true
    }

    /** False for almost every character. */
    fun mayBeginWith(char: Char): Boolean = if (char.code < ASCII) asciiFirst[char.code] else anyOther

    /** The longest added token at [at] that ends by [length], if any. */
    fun match(text: CharArray, at: Int, length: Int): AddedToken? {
        for (token in longestFirst) if (standsAt(token.content, text, at, length)) return token
        return null
    }

    private fun standsAt(content: String, text: CharArray, at: Int, length: Int): Boolean {
        if (content.length > length - at) return false
        for (i in content.indices) if (text[at + i] != content[i]) return false
        return true
    }

    private companion object {
        const val ASCII = 128
    }
}
