package dev.edgepack.core

/** A file of the bundle: what the app checks before it trusts it. [path] is relative, with `/`. */
class FileRecord(val path: String, val bytes: Long, val sha256: String, val shipped: Boolean) {
    /** The last part of [path]. */
    val name: String get() = path.substringAfterLast('/')
}

/** A metric on [n] examples with its 95 % confidence interval. */
class Metric(val name: String, val value: Double, val n: Long, val low: Double, val high: Double)

/**
 * What a bundle is: `edgepack.json`, schema 1. Keys that this reader does not know are left alone.
 *
 * @property tagScheme what labels of words mean as tags
 * @property windows how texts of more than [inputLength] tokens are read whole; null where they are cut
 * @property chain what decides the tags of a text's words together; null where each word is decided by itself
 * @property inputs names of the tensors that the model takes, in its order
 * @property thresholds the probability from which on each label is answered, where a text has a set of labels; else null
 * @property activation what makes the one logit a score (`identity`, `sigmoid`), where a text has one; else null
 * @property temperature what logits are divided by before they become probabilities
 * @property vectorSize numbers that a text becomes, where it is embedded; else null
 * @property prompts what stands before a search's query and before its texts
 * @property minConfidence the probability below which the model is not sure; null where it always is
 * @property fixedLength tokens that the model always takes, padded with [padId]; null where it takes any number
 */
class BundleManifest(
    val task: String,
    val pair: Boolean,
    val labels: List<String>,
    val maxLength: Int,
    val padId: Int,
    val inputs: List<String>,
    val fixedLength: Int?,
    val target: String,
    val runtime: String,
    val runtimeMinVersion: String,
    val files: List<FileRecord>,
    val shippedBytes: Long,
    val metrics: Map<String, Metric>,
    val teacher: String,
    val temperature: Float = 1f,
    val tagScheme: String = BIO,
    val thresholds: List<Double>? = null,
    val activation: String? = null,
    val windows: Windows? = null,
    val minConfidence: Double? = null,
    val vectorSize: Int? = null,
    val prompts: Prompts = Prompts(),
    val chain: TagChain? = null,
) {
    /** The most tokens of one run. */
    val inputLength: Int get() = minOf(maxLength, fixedLength ?: maxLength)

    /** Whether labels belong to words, as tags, and not to the whole text. */
    val labelsWords: Boolean get() = task == TOKEN_CLASSIFICATION

    /** Whether it puts texts in the order that they suit a query: it embeds, or scores pairs. */
    val ranksTexts: Boolean get() = vectorSize != null || (activation != null && pair)

    /** Whether tags are of words by themselves, as parts of speech, and mark no entities. */
    val tagsEachWord: Boolean get() = labelsWords && tagScheme == PLAIN

    /** The compact tokenizer. */
    val tokenizer: FileRecord get() = shipped { it.name == TOKENIZER_NAME }

    /** The model: the one shipped file beside the tokenizer. */
    val model: FileRecord get() = shipped { it.name != TOKENIZER_NAME }

    private fun shipped(wanted: (FileRecord) -> Boolean): FileRecord =
        files.singleOrNull { it.shipped && wanted(it) }
            ?: throw BundleException(
                "$MANIFEST_NAME ships ${files.count { it.shipped }} files; a model and $TOKENIZER_NAME are needed",
            )

    companion object {
        const val MANIFEST_NAME = "edgepack.json"
        const val TEXT_CLASSIFICATION = "text-classification"
        const val TOKEN_CLASSIFICATION = "token-classification"
        const val EMBEDS = "feature-extraction"
        private val TASKS = listOf(TEXT_CLASSIFICATION, TOKEN_CLASSIFICATION, EMBEDS)
        private const val MOST_NUMBERS = 65_536L // of a vector
        const val PLAIN = "plain"
        private const val BIO = "BIO"
        private val TAG_SCHEMES = listOf(BIO, "IOB1", "IO", "IOBES", "BILOU", "types", PLAIN)
        const val LABEL_SETS = "multi_label_classification"
        const val SCORE = "regression"
        const val IDENTITY = "identity"
        const val SIGMOID = "sigmoid"
        private const val TOKENIZER_NAME = "tokenizer.bin"
        private const val SCHEMA = 1L

        /** Reads a manifest; [BundleException] names the key that is wrong. */
        fun parse(text: String): BundleManifest {
            val root = Node(MANIFEST_NAME, Json.parse(text))
            val schema = root["schema"].long()
            if (schema != SCHEMA) {
                throw BundleException("$MANIFEST_NAME has schema $schema, this app reads $SCHEMA; package it again")
            }
            val task = root["task"].string()
            if (task !in TASKS) throw BundleException("$MANIFEST_NAME: task is $task; allowed: ${TASKS.joinToString()}")
            return BundleManifest(
                task = task,
                pair = root["pair"].orElse(false) { boolean() },
                labels = root["labels"].list().map { it.string() },
                maxLength = root["max_length"].long().toInt(),
                padId = root["padding"]["id"].long().toInt(),
                inputs = root["inputs"].list().map { it["name"].string() },
                fixedLength = root["inputs"].list().firstNotNullOfOrNull(::fixedLength),
                target = root["target"].string(),
                runtime = root["runtime"]["name"].string(),
                runtimeMinVersion = root["runtime"]["min_version"].string(),
                files = root["files"].list().map(::fileRecord),
                shippedBytes = root["shipped_bytes"].long(),
                metrics = root["metrics"].map().mapValues { metric(it.value) },
                teacher = root["teacher"]["name"].string(),
                temperature = root["temperature"].orElse(1f) { positive() },
                tagScheme = root["tag_scheme"].orElse(BIO) { oneOf(TAG_SCHEMES) },
                thresholds = root["problem"].orElse(null) { thresholds(string(), task, root) },
                activation = root["problem"].orElse(null) { activation(string(), task, root) },
                windows = root["windows"].orElse(null) { windows(this, task, root["max_length"].long()) },
                minConfidence = root["min_confidence"].orElse(null) { share() },
                vectorSize = vectorSize(task, root),
                prompts = root["vector"].orElse(Prompts()) { prompts(this) },
                chain = root["chain"].orElse(null) { chain(this, task, root["labels"].list().size) },
            )
        }

        /** How many numbers a text becomes; null where it gets an answer. */
        private fun vectorSize(task: String, root: Node): Int? {
            val size = root["vector"].orElse(null) { this["size"].long() }
            val labels = root["labels"].list().size
            val plain = !root["pair"].orElse(false) { boolean() } && root["windows"].orElse(true) { false }
            val fits = if (task == EMBEDS) size in 1..MOST_NUMBERS && labels == 0 && plain else size == null && labels > 0
            if (fits) return size?.toInt()
            throw BundleException("$MANIFEST_NAME: task is $task, with $labels labels and vectors of $size; package it again")
        }

        private fun prompts(node: Node) =
            Prompts(node["query_prompt"].orElse("") { string() }, node["text_prompt"].orElse("") { string() })

        private fun chain(node: Node, task: String, labels: Int): TagChain {
            if (task == TOKEN_CLASSIFICATION) {
                return TagChain.of(node["unseen"].finite(), node["pairs"].list().map { it.string() }, labels)
            }
            throw BundleException("$MANIFEST_NAME has a chain of tags, and is for $task; package the app again")
        }

        private fun windows(node: Node, task: String, maxLength: Long): Windows {
            val overlap = node["overlap"].long()
            if (overlap !in 0..maxLength / 2) {
                throw BundleException("$MANIFEST_NAME: windows of $maxLength tokens overlap by $overlap; package it again")
            }
            val known = if (task == TOKEN_CLASSIFICATION) listOf(Windows.INNER) else listOf(Windows.MEAN, Windows.MAX)
            return Windows(overlap.toInt(), node["combine"].oneOf(known))
        }

        /** Those of a [problem] that has them: one for each label. */
        private fun thresholds(problem: String, task: String, root: Node): List<Double>? {
            if (problem == SCORE) return null
            if (problem != LABEL_SETS || task != TEXT_CLASSIFICATION) {
                throw BundleException("$MANIFEST_NAME: problem of $task is $problem; allowed: $LABEL_SETS, $SCORE of $TEXT_CLASSIFICATION")
            }
            val found = root["thresholds"].list().map { it.share() }
            val labels = root["labels"].list().size
            if (found.size == labels) return found
            throw BundleException("$MANIFEST_NAME has ${found.size} thresholds for $labels labels; package it again")
        }

        /** What makes the logit of a [problem] that has one a score. */
        private fun activation(problem: String, task: String, root: Node): String? {
            if (problem != SCORE) return null
            if (task != TEXT_CLASSIFICATION || root["labels"].list().size != 1) {
                throw BundleException("$MANIFEST_NAME has a score that is not of a text, or more than one; package it again")
            }
            return root["activation"].orElse(IDENTITY) { oneOf(listOf(IDENTITY, SIGMOID)) }
        }

        /** The second dimension of an input, where it is a number and not a name. */
        private fun fixedLength(input: Node): Int? = input["shape"].list().getOrNull(1)?.longOrNull()?.toInt()

        private fun fileRecord(node: Node): FileRecord {
            val path = node["path"].string()
            if (path.startsWith("/") || ".." in path.split('/')) {
                throw BundleException("$MANIFEST_NAME names $path, outside the bundle; do not ship it")
            }
            return FileRecord(path, node["bytes"].long(), node["sha256"].string(), node["shipped"].boolean())
        }

        private fun metric(node: Node) = Metric(
            node["name"].string(),
            node["value"].double(),
            node["n"].long(),
            node["low"].double(),
            node["high"].double(),
        )
    }
}

/** A JSON value that knows where it stands, so that an error can say so. */
private class Node(private val place: String, private val value: Any?) {
    operator fun get(key: String) = Node("$place: $key", map(key))

    fun string(): String = value as? String ?: fail("a string")
    fun boolean(): Boolean = value as? Boolean ?: fail("true or false")
    fun long(): Long = value as? Long ?: fail("a whole number")
    fun double(): Double = (value as? Number)?.toDouble() ?: fail("a number")
    fun finite(): Double = double().takeIf { it.isFinite() } ?: fail("a finite number")
    fun positive(): Float = double().toFloat().takeIf { it > 0 && it.isFinite() } ?: fail("a positive number")
    fun oneOf(allowed: List<String>): String = string().takeIf { it in allowed } ?: fail("one of $allowed")
    fun share(): Double = double().takeIf { it > 0 && it < 1 } ?: fail("a number above 0 and below 1")
    fun longOrNull(): Long? = value as? Long
    fun list(): List<Node> = (value as? List<*>)?.mapIndexed { i, it -> Node("$place[$i]", it) } ?: fail("a list")
    fun map(): Map<String, Node> =
        entries().entries.associate { it.key as String to Node("$place: ${it.key}", it.value) }
    fun <T> orElse(default: T, read: Node.() -> T): T = if (value == null) default else read()

    private fun map(key: String): Any? = entries()[key]
    private fun entries(): Map<*, *> = value as? Map<*, *> ?: fail("an object")
    private fun fail(wanted: String): Nothing =
        throw BundleException("$place is ${value ?: "missing"}, not $wanted; package the app again")
}
