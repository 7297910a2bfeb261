package dev.edgepack.core

import java.io.Closeable
import java.io.File

/** A bundle that is ready: text in, [Prediction] out. One call at a time, off the main thread. */
class TextClassifier(
    val manifest: BundleManifest,
    private val tokenizer: Tokenizer,
    private val session: ModelSession,
) : Closeable {
    private val marks = if (manifest.labelsWords) readMarks(manifest.labels, manifest.tagScheme) else emptyList()

    /** What judges labels of one's own; null where the model judges no entailment. */
    val entailment: Entailment? = Entailment.of(manifest)

    /** What the model says of [text], and of [pair] where the task has two texts. */
    fun classify(text: String, pair: String? = null): Prediction {
        val start = System.nanoTime()
        val second = if (manifest.pair) pair.orEmpty() else null
        val encoding = tokenizer.encode(text, second, manifest.inputLength, whole = manifest.windows != null)
        val tokenized = System.nanoTime()
        val logits = session.run(encoding, manifest)
        val done = System.nanoTime()
        val entities = if (manifest.labelsWords) tag(text, encoding, logits) else emptyList()
        val score = manifest.activation?.let { scoreOf(one(logits), it) }
        val labels = if (manifest.labelsWords || score != null) emptyList() else score(logits)
        return Prediction(
            labels,
            entities,
            encoding.size,
            tokenized - start,
            done - tokenized,
            tagsEachWord = manifest.tagsEachWord,
            isSet = manifest.thresholds != null,
            score = score,
            isSure = labels.isEmpty() || manifest.thresholds != null || isSure(logits, manifest),
        )
    }

    /** Which of [labels] the text is of, by a model that judges entailment; it runs once for each. */
    fun judge(text: String, labels: List<String>, severalTrue: Boolean): Prediction {
        val judge = entailment
        if (judge == null || !judge.canJudge(labels.size, severalTrue)) {
            throw BundleException("the model cannot judge ${labels.size} labels; give two or more, of which one is true")
        }
        val start = System.nanoTime()
        val whole = manifest.windows != null
        val encodings = labels.map { tokenizer.encode(text, Entailment.hypothesis(it), manifest.inputLength, whole) }
        val tokenized = System.nanoTime()
        val rows = encodings.map { encoding -> session.run(encoding, manifest).also { checkCount(it, manifest.labels.size) } }
        val done = System.nanoTime()
        val scores = judge.scores(rows, severalTrue)
        val ranked = labels.indices.map { ScoredLabel(labels[it], scores[it]) }.sortedByDescending { it.probability }
        return Prediction(ranked, emptyList(), encodings.sumOf { it.size }, tokenized - start, done - tokenized)
    }

    private fun tag(text: String, encoding: Encoding, logits: FloatArray): List<Entity> {
        val rows = if (encoding.size > manifest.inputLength) encoding.size else manifest.fixedLength ?: encoding.size
        checkCount(logits, rows * manifest.labels.size)
        return findEntities(tagWords(tokenizer.words(text, encoding), logits, marks, manifest.temperature))
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
         */
        fun load(
            manifest: BundleManifest,
            tokenizer: File,
            model: File,
            runtime: ModelRuntime,
            cache: File? = null,
        ): TextClassifier {
            runtime.requireFor(manifest)
            val session = if (cache == null) runtime.load(model, manifest) else runtime.load(model, manifest, cache)
            val classifier = TextClassifier(manifest, Tokenizer.load(tokenizer), session)
            repeat(WARM_UP_RUNS) { classifier.classify("warm up", "warm up") }
            return classifier
        }
    }
}
