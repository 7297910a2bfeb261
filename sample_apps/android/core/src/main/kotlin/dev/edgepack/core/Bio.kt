package dev.edgepack.core

/** The decided tag of one word, UTF-16 `[start, end)`. */
class TaggedWord(val tag: String, val probability: Float, val start: Int, val end: Int)

/**
 * Entities out of the words' tags, as edgepack's metric counts them.
 *
 * `B-x` begins an entity; `I-x` goes on with one of the same type and begins one otherwise; `O` is none.
 */
fun decodeBio(words: List<TaggedWord>): List<Entity> {
    val out = ArrayList<Entity>()
    var open = ArrayList<TaggedWord>()
    for (word in words) {
        val type = entityType(word.tag)
        val continues = open.isNotEmpty() && type == entityType(open[0].tag) && !word.tag.startsWith("B")
        if (!continues) {
            close(open)?.let(out::add)
            open = ArrayList()
        }
        if (type != null) open.add(word)
    }
    close(open)?.let(out::add)
    return out
}

/** What follows `B-` or `I-`; null for `O`. */
private fun entityType(tag: String): String? = if (tag == "O") null else tag.drop(2)

private fun close(words: List<TaggedWord>): Entity? {
    if (words.isEmpty()) return null
    return Entity(entityType(words[0].tag).orEmpty(), words[0].start, words.last().end, words.minOf { it.probability })
}

/**
 * The words of a text with their tags: a word's tag is that of its first token, as in training.
 *
 * [logits] holds a row of `labels.size` numbers for each token.
 */
fun tagWords(
    words: List<Word>,
    logits: FloatArray,
    labels: List<String>,
    temperature: Float = 1f,
): List<TaggedWord> = words.map { word ->
    val row = softmax(logits.copyOfRange(word.first * labels.size, (word.first + 1) * labels.size), temperature)
    val best = row.indices.maxBy { row[it] }
    TaggedWord(labels[best], row[best], word.start, word.end)
}
