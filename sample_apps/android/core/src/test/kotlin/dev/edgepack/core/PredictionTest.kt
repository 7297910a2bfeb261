package dev.edgepack.core

import java.io.File
import java.io.InterruptedIOException
import kotlin.test.Test
import kotlin.test.assertEquals
import kotlin.test.assertFailsWith
import kotlin.test.assertFalse
import kotlin.test.assertNotNull
import kotlin.test.assertNull
import kotlin.test.assertTrue

class PredictionTest {
    @Test
    fun softmaxSumsToOneAndDoesNotOverflow() {
        assertEquals(listOf(0.5f, 0.5f), softmax(floatArrayOf(1000f, 1000f)).toList())
        val out = softmax(floatArrayOf(0f, 1f, 2f))
        assertEquals(1f, out.sum(), 1e-6f)
        assertEquals(0.665241f, out[2], 1e-6f)
        assertEquals(listOf(0f, 1f), softmax(floatArrayOf(-1000f, 1000f)).toList())
        assertEquals(out.toList(), softmax(floatArrayOf(0f, 2f, 4f), 2f).toList())
    }

    @Test
    fun tagsBecomeEntities() {
        fun spans(vararg tags: String): List<String> {
            val marks = readMarks(tags.toList(), "BIO")
            val words = marks.mapIndexed { i, mark -> TaggedWord(mark, 0.5f + i / 100f, 10 * i, 10 * i + 5) }
            return findEntities(words).map { "${it.type} ${it.start}-${it.end}" }
        }
        assertEquals(listOf("city 10-25"), spans("O", "B-city", "I-city", "O"))
        assertEquals(listOf("city 0-5", "city 10-15"), spans("B-city", "B-city"))
        assertEquals(listOf("city 0-15"), spans("I-city", "I-city"))
        assertEquals(listOf("city 0-5", "date 10-15"), spans("B-city", "I-date"))
        assertEquals(listOf("a-b 0-5", "a-b 20-25"), spans("B-a-b", "O", "I-a-b"))
        assertEquals(emptyList(), spans("O", "O"))
        val (begins, inside) = readMarks(listOf("B-x", "I-x"), "BIO")
        val entity = findEntities(listOf(TaggedWord(begins, 0.6f, 0, 1), TaggedWord(inside, 0.8f, 2, 3))).single()
        assertEquals(0.6f, entity.probability)
    }

    @Test
    fun aWordHasItsFirstTokensTag() {
        val logits = FloatArray(10).also { it[3] = 5f; it[4] = 9f; it[6] = 4f } // tokens × (O, B-x)
        val marks = readMarks(listOf("O", "B-x"), "BIO")
        val words = tagWords(listOf(Word(1, 0, 5), Word(3, 6, 9)), logits, marks)
        assertEquals(listOf("x 0-5", "null 6-9"), words.map { "${it.mark.kind} ${it.start}-${it.end}" })
    }

    /** `entities.jsonl`: tags of every scheme, and what they mark by the reference. Edgepack's own tests give it. */
    @Test
    fun tagsOfEverySchemeAreReadAsByTheReference() {
        val file = System.getProperty("edgepack.entities")?.let(::File) ?: return
        val lines = file.readLines().map { Json.parse(it) as Map<*, *> }
        for (line in lines) {
            val marks = readMarks((line["labels"] as List<*>).map { it as String }, line["scheme"] as String)
            val words = (line["tags"] as List<*>).mapIndexed { i, tag ->
                TaggedWord(marks[(tag as Long).toInt()], 1f / (i + 2), i, i + 1)
            }
            val found = findEntities(words)
            val expected = (line["entities"] as List<*>).map { it as List<*> }
            assertEquals(expected.map { "${it[0]} ${it[1]}-${it[2]}" }, found.map { "${it.type} ${it.start}-${it.end}" })
            for (entity in found) assertEquals(1f / (entity.end + 1), entity.probability)
        }
        println("${file.name}: ${lines.size} of ${lines.size} lines equal")
    }

    /** `decisions.jsonl`: when a model is sure, and how labels of one's own are judged, by the reference. */
    @Test
    fun decisionsAreTheReferences() {
        val file = System.getProperty("edgepack.decisions")?.let(::File) ?: return
        val lines = file.readLines().map { Json.parse(it) as Map<*, *> }
        for (line in lines) if (line["classes"] == null) checkSure(line) else checkJudged(line)
        println("${file.name}: ${lines.size} of ${lines.size} lines equal")
    }

    /** `chains.jsonl`: tags decided together by the reference, and damaged chains. */
    @Test
    fun tagsOfChainsAreTheReferences() {
        val file = System.getProperty("edgepack.chains")?.let(::File) ?: return
        val lines = file.readLines().map { Json.parse(it) as Map<*, *> }
        for (line in lines) {
            val labels = List((line["count"] as Long).toInt()) { "\"B-$it\"" }
            val told = "{\"chain\": ${line["chain"]}, \"temperature\": ${line["temperature"]},"
            val text = tagging(labels.joinToString(", ", "[", "]")).replaceFirst("{", told)
            if (line["tags"] != null) {
                checkTags(BundleManifest.parse(text), line)
            } else {
                val error = assertFailsWith<BundleException>(text) { BundleManifest.parse(text) }
                assertTrue("chain" in error.message && "package the app again" in error.message, error.message)
            }
        }
        println("${file.name}: ${lines.size} of ${lines.size} lines equal")
    }

    private fun checkTags(manifest: BundleManifest, line: Map<*, *>) {
        val words = (line["firsts"] as List<*>).map { Word((it as Long).toInt(), 0, 1) }
        val logits = (line["logits"] as List<*>).flatMap { floats(it).asList() }.toFloatArray()
        val marks = readMarks(manifest.labels, manifest.tagScheme)
        val found = tagWords(words, logits, marks, manifest.temperature, manifest.chain)
        assertEquals(line["tags"], found.map { it.mark.kind!!.toLong() })
        val expected = floats(line["probabilities"])
        for ((i, word) in found.withIndex()) assertEquals(expected[i], word.probability, 1e-5f)
    }

    private fun tagging(labels: String) = BundleManifestTest.MANIFEST
        .replace("text-classification", "token-classification")
        .replaceFirst("[\"no\", \"yes\"]", labels)

    @Test
    fun aChainDecidesTheTagsOfATextsWordsTogether() {
        val marks = readMarks(listOf("O", "B-x", "I-x"), "BIO")
        val chain = TagChain.of(-5.0, listOf("0 1 2.0", "1 2 2.0", "3 0 0", "2 3 0"), 3)
        val words = listOf(Word(1, 0, 1), Word(2, 2, 3), Word(3, 4, 5))
        val logits = floatArrayOf(0f, 0f, 9f, 1f, 0f, 0f, 0.5f, 0f, 0f, 0f, 0f, 1f, 9f, 0f, 0f) // tokens × tags
        fun tags(chain: TagChain?) = tagWords(words, logits, marks, chain = chain).map { marks.indexOf(it.mark) }
        assertEquals(listOf(0, 0, 2), tags(null))
        assertEquals(listOf(0, 1, 2), tags(chain))
        assertEquals(emptyList(), tagWords(emptyList(), logits, marks, chain = chain))
    }

    @Test
    fun aClassifierDecidesByTheManifestsChain() {
        fun spans(told: String): List<String> {
            val text = tagging("[\"O\", \"B-x\", \"I-x\"]").replaceFirst("{", "{$told")
            val flat = object : ModelSession {
                override fun run(encoding: Encoding) = FloatArray(encoding.size * 3) { if (it % 3 == 0) 0.5f else 0f }
                override fun close() = Unit
            }
            val prediction = TextClassifier(BundleManifest.parse(text), tokenizer(), flat).classify("so good")
            return prediction.entities.map { "${it.type} ${it.start}-${it.end}" }
        }
        assertEquals(emptyList(), spans(""))
        val pairs = "[\"3 1 3.0\", \"1 2 3.0\", \"2 3 3.0\"]"
        assertEquals(listOf("x 0-7"), spans("\"chain\": {\"unseen\": -5.0, \"pairs\": $pairs},"))
    }

    private fun floats(row: Any?): FloatArray = (row as List<*>).map { (it as Number).toFloat() }.toFloatArray()

    private fun checkSure(line: Map<*, *>) {
        val least = line["min_confidence"] ?: "null"
        val told = "{\"temperature\": ${line["temperature"]}, \"min_confidence\": $least,"
        val manifest = BundleManifest.parse(BundleManifestTest.MANIFEST.replaceFirst("{", told))
        val logits = floats(line["logits"])
        assertEquals(line["sure"], isSure(logits, manifest))
        val probabilities = softmax(logits, manifest.temperature)
        val best = (line["label"] as Long).toInt()
        assertEquals((line["probability"] as Number).toFloat(), probabilities[best], 1e-4f)
        assertEquals(probabilities.max(), probabilities[best])
    }

    private fun checkJudged(line: Map<*, *>) {
        val judge = assertNotNull(Entailment.of(judging((line["classes"] as List<*>).map { it as String })))
        val scores = judge.scores((line["rows"] as List<*>).map(::floats), line["multi_label"] as Boolean)
        val expected = floats(line["scores"])
        assertEquals(expected.size, scores.size)
        for (i in expected.indices) assertEquals(expected[i], scores[i], 1e-4f)
    }

    private fun judging(labels: List<String>, pair: Boolean = true): BundleManifest {
        val names = labels.joinToString(", ", "[", "]") { "\"$it\"" }
        val text = BundleManifestTest.MANIFEST.replaceFirst("[\"no\", \"yes\"]", names)
        return BundleManifest.parse(text.replaceFirst("{", "{\"pair\": $pair,"))
    }

    @Test
    fun entailmentIsFoundByNameAlone() {
        assertNull(Entailment.of(judging(listOf("yes", "maybe", "no"))))
        assertNull(Entailment.of(judging(listOf("entailment", "not_entailment"), pair = false)))
        assertNull(Entailment.of(judging(listOf("entailment", "Entailment"))))
        val half = assertNotNull(Entailment.of(judging(listOf("neutral", "entailment", "other"))))
        assertFalse(half.judgesAlone || half.canJudge(1, false) || half.canJudge(2, true))
        assertTrue(half.canJudge(2, false))
    }

    @Test
    fun aTagOfAnotherSchemeIsRefused() {
        assertFailsWith<BundleException> { readMarks(listOf("O", "PER"), "BIO") }
        val text = BundleManifestTest.MANIFEST.replaceFirst("{", "{\"tag_scheme\": \"BIOX\",")
        assertFailsWith<BundleException> { BundleManifest.parse(text) }
    }

    @Test
    fun theLikeliestLabelComesFirst() {
        val classifier = TextClassifier(manifest("text-classification"), tokenizer(), session(floatArrayOf(1f, 3f)))
        val prediction = classifier.classify("so good")
        assertEquals(listOf("yes", "no"), prediction.labels.map { it.label })
        assertEquals(1f, prediction.labels.sumOf { it.probability.toDouble() }.toFloat(), 1e-6f)
        assertTrue(prediction.modelNanos >= 0 && prediction.tokens > 2)
        val cooled = BundleManifest.parse(
            BundleManifestTest.MANIFEST.replaceFirst("{", "{\"temperature\": 2.0,"),
        )
        val unsure = TextClassifier(cooled, tokenizer(), session(floatArrayOf(1f, 3f))).classify("so good")
        assertEquals(softmax(floatArrayOf(0f, 1f))[1], unsure.labels[0].probability, 1e-6f)
        val wrong = TextClassifier(manifest("text-classification"), tokenizer(), session(FloatArray(3)))
        assertFailsWith<BundleException> { wrong.classify("so good") }
    }

    @Test
    fun aLabelSetHasAllLabelsAtTheirThresholdsPerhapsNone() {
        assertEquals(0.5, sigmoid(0f))
        assertEquals(0.0, sigmoid(-1000f))
        val sets = "{\"problem\": \"multi_label_classification\", \"thresholds\": [0.5, 0.6],"
        val manifest = BundleManifest.parse(BundleManifestTest.MANIFEST.replaceFirst("{", sets))
        val prediction = TextClassifier(manifest, tokenizer(), session(floatArrayOf(0f, 2f))).classify("so good")
        assertTrue(prediction.isSet)
        assertEquals(listOf("yes", "no"), prediction.labels.map { it.label })
        assertEquals(0.5f, prediction.labels[1].probability)
        val none = TextClassifier(manifest, tokenizer(), session(floatArrayOf(-1f, 0.4f))).classify("so good")
        assertTrue(none.isSet && none.labels.isEmpty())
    }

    @Test
    fun aModelThatFailsWhileItIsOpenedIsClosedAgain() {
        val tokenizer = File(Goldens.folders[0], "tokenizer.bin")
        val failures = listOf(BundleException("it does not run"), UnsatisfiedLinkError("no library"))
        for (failure in failures) {
            val session = Failing(failure)
            assertEquals(failure, assertFailsWith<Throwable> { open(session, tokenizer) })
            assertEquals(1, session.closed)
        }
        val session = Failing(failures[0])
        assertFailsWith<Exception> { open(session, File("no such tokenizer")) }
        assertEquals(1, session.closed)
    }

    private fun open(session: ModelSession, tokenizer: File) {
        val runtime = object : ModelRuntime {
            override val name = "ONNX Runtime"
            override val id = "onnxruntime"
            override fun load(model: File, manifest: BundleManifest) = session
        }
        TextClassifier.load(manifest("text-classification"), tokenizer, File("m"), runtime)
    }

    private class Failing(private val failure: Throwable) : ModelSession {
        var closed = 0

        override fun run(encoding: Encoding): FloatArray = throw failure
        override fun close() {
            closed++
        }
    }

    @Test
    fun anInterruptEndsACallBeforeTheNextRun() {
        val classifier = TextClassifier(manifest("text-classification"), tokenizer(), session(floatArrayOf(1f, 3f)))
        Thread.currentThread().interrupt()
        assertFailsWith<InterruptedIOException> { classifier.classify("so good") }
        assertFalse(Thread.interrupted())
        assertEquals("yes", classifier.classify("so good").labels[0].label)
    }

    @Test
    fun aBundleForAnotherRuntimeIsRefused() {
        val runtime = object : ModelRuntime {
            override val name = "Toaster"
            override val id = "toaster"
            override fun load(model: File, manifest: BundleManifest) = session(FloatArray(2))
        }
        val error = assertFailsWith<BundleException> {
            TextClassifier.load(manifest("text-classification"), File("t"), File("m"), runtime)
        }
        assertTrue("is for onnxruntime, this app is built with toaster" in error.message, error.message)
    }

    @Test
    fun aBundleForANewerRuntimeIsRefused() {
        fun load(itsVersion: String?) = assertFailsWith<Exception> {
            val runtime = object : ModelRuntime {
                override val name = "ONNX Runtime"
                override val id = "onnxruntime"
                override val version = itsVersion
                override fun load(model: File, manifest: BundleManifest) = session(FloatArray(2))
            }
            TextClassifier.load(manifest("text-classification"), File("t"), File("m"), runtime)
        }.message.orEmpty()
        assertTrue("needs ONNX Runtime 1.16, this app has 1.9; update the app" in load("1.9"))
        listOf("1.16.0", "1.27", "2", null).forEach { assertTrue("needs" !in load(it)) } // the tokenizer is what is missing
    }

    @Test
    fun versionsCompareAsNumbers() {
        for ((older, newer) in listOf("1.9" to "1.16", "1.16" to "1.16.1", "17.5" to "iOS 18", "" to "1")) {
            assertTrue(compareVersions(older, newer) < 0 && compareVersions(newer, older) > 0, "$older, $newer")
        }
        assertEquals(0, compareVersions("18", "iOS 18.0"))
    }

    private fun manifest(task: String) =
        BundleManifest.parse(BundleManifestTest.MANIFEST.replace("text-classification", task))

    private fun tokenizer() = Tokenizer.load(File(Goldens.folders[0], "tokenizer.bin"))

    private fun session(logits: FloatArray) = object : ModelSession {
        override fun run(encoding: Encoding) = logits
        override fun close() = Unit
    }
}
