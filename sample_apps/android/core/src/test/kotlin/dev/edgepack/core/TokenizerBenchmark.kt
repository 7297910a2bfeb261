package dev.edgepack.core

import java.io.File

/**
 * Tokenizes a file of texts, a line each, once for every line on standard input: another program can take turns.
 *
 * Arguments: `tokenizer.bin`, the texts, the maximum length. Prints the milliseconds to load the tokenizer, then for
 * each round its nanoseconds, how many tokens there were and the sum of their ids: proof that the work was done.
 */
fun main(arguments: Array<String>) {
    val start = System.nanoTime()
    val tokenizer = Tokenizer.load(File(arguments[0]))
    println((System.nanoTime() - start) / 1e6)
    val texts = File(arguments[1]).readLines()
    val maxLength = arguments[2].toInt()
    while (readlnOrNull() != null) {
        var tokens = 0L
        var sum = 0L
        val begin = System.nanoTime()
        for (text in texts) {
            val encoding = tokenizer.encode(text, maxLength = maxLength)
            tokens += encoding.size
            for (id in encoding.ids) sum += id
        }
        println("${System.nanoTime() - begin} $tokens $sum")
    }
}
