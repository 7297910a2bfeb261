package dev.edgepack.core

import java.io.Closeable
import java.io.File
import java.io.InterruptedIOException

/**
 * A bundle that is ready: text in, [Prediction] out. One call at a time, off the main thread.
 *
 * An interrupt of the thread ends a call before the model's next run, with an [InterruptedIOException].
 */
class TextClassifier(
    val manifest: BundleManifest,
    private val tokenizer: Tokenizer,
    private val session: ModelSession,
    private val vectors: KeptVectors? = KeptVectors.of(manifest, folder = null),
) : Closeable {
    private val marks = if (manifest.labelsWords) readMarks(manifest.labels, manifest.tagScheme) else emptyList()

    /** What judges labels of one's own; null where the model judges no entailment. */
    val entailment: Entailment? = Entailment.of(manifest)

    /** The texts whose vectors are kept, in order. */
    val keptTexts: List<String> get() = vectors?.texts.orEmpty()

    /** What the model says of [text], and of [pair] where the task has two texts. */
    fun classify(text: String, pair: String? = null): Prediction {
        if (manifest.vectorSize != null) throw BundleException("the model embeds texts and gives no answer; rank some")
        val run = run(text, if (manifest.pair) pair.orEmpty() else null)
        val entities = if (manifest.labelsWords) tag(text, run.encoding, run.logits) else emptyList()
        val score = manifest.activation?.let { scoreOf(one(run.logits), it) }
        val labels = if (manifest.labelsWords || score != null) emptyList() else score(run.logits)
        return prediction(
            listOf(run),
            labels,
            entities,
            score = score,
            isSure = labels.isEmpty() || manifest.thresholds != null || isSure(run.logits, manifest),
        )
    }

    /** Which of [labels] the text is of, by a model that judges entailment; it runs once for each. */
    fun judge(text: String, labels: List<String>, severalTrue: Boolean): Prediction {
        val judge = entailment
        if (judge == null || !judge.canJudge(labels.size, severalTrue)) {
            throw BundleException("the model cannot judge ${labels.size} labels; give two or more, of which one is true")
        }
        val runs = labels.map { run(text, Entailment.hypothesis(it)) }
        val scores = judge.scores(runs.map { it.logits.also { row -> checkCount(row, manifest.labels.size) } }, severalTrue)
        val best = labels.indices.map { ScoredLabel(labels[it], scores[it]) }.sortedByDescending { it.probability }
        return prediction(runs, best)
    }

    /**
     * The [texts] in the order that they suit [query]: by vectors, which are computed once for a text and kept, or by a
     * model that scores pairs, which runs once for each text.
     */
    fun rank(query: String, texts: List<String>): Prediction {
        if (!manifest.ranksTexts) throw BundleException("the model neither embeds texts nor scores pairs; it cannot rank")
        val runs = ArrayList<Run>()
        fun ask(text: String, pair: String? = null) = run(text, pair).also(runs::add).logits
        val size = manifest.vectorSize
        val scores = if (size != null && vectors != null) {
            fun embed(text: String) = ask(text).also { checkCount(it, size) }
            val asked = embed(manifest.prompts.ofQuery(query))
            vectors.of(texts) { embed(manifest.prompts.ofText(it)) }.map { cosine(asked, it) }
        } else {
            texts.map { scoreOf(one(ask(query, it)), manifest.activation.orEmpty()) }
        }
        return prediction(runs, found = ranked(texts, scores))
    }

    private class Run(val encoding: Encoding, val logits: FloatArray, val tokenizeNanos: Long, val modelNanos: Long)

    private fun run(text: String, pair: String?): Run {
        if (Thread.interrupted()) throw InterruptedIOException("stopped before the model's next run")
        val start = System.nanoTime()
        val encoding = tokenizer.encode(text, pair, manifest.inputLength, whole = manifest.windows != null)
        val tokenized = System.nanoTime()
        val logits = session.run(encoding, manifest)
        return Run(encoding, logits, tokenized - start, System.nanoTime() - tokenized)
    }

    private fun prediction(
        runs: List<Run>,
        labels: List<ScoredLabel> = emptyList(),
        entities: List<Entity> = emptyList(),
        score: Double? = null,
        isSure: Boolean = true,
        found: List<RankedText>? = null,
    ) = Prediction(
        labels,
        entities,
        runs.sumOf { it.encoding.size },
        runs.sumOf { it.tokenizeNanos },
        runs.sumOf { it.modelNanos },
        tagsEachWord = manifest.tagsEachWord,
        isSet = manifest.thresholds != null,
        score = score,
        isSure = isSure,
        found = found,
    )

    private fun tag(text: String, encoding: Encoding, logits: FloatArray): List<Entity> {
        val rows = if (encoding.size > manifest.inputLength) encoding.size else manifest.fixedLength ?: encoding.size
        checkCount(logits, rows * manifest.labels.size)
        val words = tokenizer.words(text, encoding)
        return findEntities(tagWords(words, logits, marks, manifest.temperature, manifest.chain))
    }

    private fun one(logits: FloatArray): Float {
        checkCount(logits, 1)
        return logits[0]
    }

    private fun checkCount(logits: FloatArray, wanted: Int) {
        if (logits.size == wanted) return
        throw BundleException("the model gives ${logits.size} numbers, not $wanted; package the app again")
    }

    private fun score(logits: FloatArray): List<ScoredLabel> {
        checkCount(logits, manifest.labels.size)
        manifest.thresholds?.let { return labelSet(logits, manifest.labels, it) }
        val probabilities = softmax(logits, manifest.temperature)
        return manifest.labels.indices.map { ScoredLabel(manifest.labels[it], probabilities[it]) }
            .sortedByDescending { it.probability }
    }

    override fun close() = session.close()

    companion object {
        private const val WARM_UP_RUNS = 2

        /**
         * Opens tokenizer and model and runs the model a little: the first runs of every runtime are slow.
         *
         * [cache]: a folder of the app's, as `cacheDir/model`, where the runtime keeps what opens the model sooner.
         * [vectors]: another, as `noBackupFilesDir/vectors`, for those of the texts that are searched, in this [form].
         */
        fun load(
            manifest: BundleManifest,
            tokenizer: File,
            model: File,
            runtime: ModelRuntime,
            cache: File? = null,
            vectors: File? = null,
            form: VectorForm = VectorForm.FLOAT32,
        ): TextClassifier {
            runtime.requireFor(manifest)
            val session = if (cache == null) runtime.load(model, manifest) else runtime.load(model, manifest, cache)
            try {
                val kept = KeptVectors.of(manifest, vectors, form)
                val classifier = TextClassifier(manifest, Tokenizer.load(tokenizer), session, kept)
                repeat(WARM_UP_RUNS) { classifier.run("warm up", if (manifest.pair) "warm up" else null) }
                return classifier
            } catch (e: Throwable) { // native memory, which nothing else frees
                session.close()
                throw e
            }
        }
    }
}
