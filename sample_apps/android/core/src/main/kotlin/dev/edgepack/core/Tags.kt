package dev.edgepack.core

/**
 * What a tag says of its word.
 *
 * @property kind the type of entity, or null outside of one
 * @property begins whether the word begins an entity, whatever stands before it
 * @property ends whether it ends one, whatever follows
 */
class Mark(val kind: String?, val begins: Boolean = false, val ends: Boolean = false)

/** The decided tag of one word, UTF-16 `[start, end)`. */
class TaggedWord(val mark: Mark, val probability: Float, val start: Int, val end: Int)

/** What each label says as a tag of a manifest's scheme. */
fun readMarks(labels: List<String>, scheme: String): List<Mark> = labels.map { readMark(it, scheme) }

private fun readMark(label: String, scheme: String): Mark {
    if (scheme == BundleManifest.PLAIN) return Mark(label, begins = true, ends = true)
    val tag = label.trim()
    if (tag == "O" || tag == "o") return Mark(null)
    if (scheme == "types") return Mark(label)
    val found = PREFIXED.matchEntire(tag)?.groupValues
        ?: throw BundleException("label $label is no tag of $scheme; package the app again")
    val prefix = (found[1] + found[3]).uppercase()
    return Mark((found[2] + found[4]).trim(), prefix in BEGINS, prefix in ENDS)
}

/**
 * Entities out of the words' tags, as edgepack's metric counts them.
 *
 * A word continues the entity before it if both have one type, it begins none by itself, and the one before ends none.
 */
fun findEntities(words: List<TaggedWord>): List<Entity> {
    val out = ArrayList<Entity>()
    var before: Mark? = null
    for (word in words) {
        val mark = word.mark
        val kind = mark.kind
        val continues = kind != null && kind == before?.kind && !mark.begins && !before.ends
        val last = if (continues) out.removeAt(out.size - 1) else null
        if (kind != null) {
            val probability = minOf(word.probability, last?.probability ?: word.probability)
            out.add(Entity(kind, last?.start ?: word.start, word.end, probability))
        }
        before = mark
    }
    return out
}

/**
 * The words of a text with their tags: a word's tag is that of its first token, as in training.
 *
 * [logits] holds a row of `marks.size` numbers for each token. A [chain] decides the words together, else each is
 * decided by itself.
 */
fun tagWords(
    words: List<Word>,
    logits: FloatArray,
    marks: List<Mark>,
    temperature: Float = 1f,
    chain: TagChain? = null,
): List<TaggedWord> {
    val rows = words.map { logits.copyOfRange(it.first * marks.size, (it.first + 1) * marks.size) }
    return words.zip(chain?.read(rows) ?: rows.map { it.toDoubles() }) { word, decided ->
        val row = softmax(decided, temperature.toDouble())
        val best = row.indices.maxBy { row[it] }
        TaggedWord(marks[best], row[best].toFloat(), word.start, word.end)
    }
}

private val PREFIXED = Regex("([BIESULM])(?:[-_]([^\\n]+))?|([biesulm])[-_]([^\\n]+)")
private val BEGINS = setOf("B", "S", "U")
private val ENDS = setOf("E", "S", "L", "U")
