package dev.edgepack.core

/** Finds the tokens of a text, added ones among them, without the frame around it. Not for two threads at once. */
internal interface TextScanner {
    /** Adds the tokens of [input] to [output], which is emptied; stops soon after [enough] tokens. */
    fun scan(input: String, output: TokenBuffer, enough: Int)
}
