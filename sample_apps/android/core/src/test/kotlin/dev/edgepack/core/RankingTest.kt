package dev.edgepack.core

import java.io.File
import java.io.InterruptedIOException
import kotlin.io.path.createTempDirectory
import kotlin.test.AfterTest
import kotlin.test.Test
import kotlin.test.assertEquals
import kotlin.test.assertFailsWith
import kotlin.test.assertFalse
import kotlin.test.assertNull
import kotlin.test.assertTrue

class RankingTest {
    private val folder = createTempDirectory().toFile()

    @AfterTest
    fun deleteFolder() {
        folder.deleteRecursively()
    }

    @Test
    fun theCosineIsOfDirectionsAlone() {
        assertEquals(1.0, cosine(floatArrayOf(1f, 2f), floatArrayOf(10f, 20f)), 1e-7)
        assertEquals(-1.0, cosine(floatArrayOf(1f, 2f), floatArrayOf(-1f, -2f)), 1e-7)
        assertEquals(0.6, cosine(floatArrayOf(3f, 4f), floatArrayOf(2f, 0f)), 1e-7)
        assertEquals(0.0, cosine(FloatArray(2), floatArrayOf(1f, 2f)))
    }

    @Test
    fun theBestComesFirstAndEqualOnesAsTheyWereGiven() {
        val found = ranked(listOf("a", "b", "c", "d"), listOf(0.1, 0.5, 0.5, 0.9))
        assertEquals(listOf("d 0.9", "b 0.5", "c 0.5", "a 0.1"), found.map { "${it.text} ${it.score}" })
    }

    @Test
    fun aListIsReadLineByLine() {
        assertEquals(listOf("a", "b c"), readList(" a\n\nb c\r\na "))
        assertEquals(emptyList(), readList(" \n"))
    }

    @Test
    fun aVectorIsComputedOnceAndKept() {
        val asked = ArrayList<String>()
        fun embed(text: String) = floatArrayOf(text.length.toFloat(), 1f).also { asked += text }
        val file = File(folder, "kept")
        val first = KeptVectors(file, 2).apply { of(listOf("a", "bcé", "a"), ::embed) }
        assertEquals(listOf("a", "bcé"), asked)
        assertEquals(listOf("a", "bcé"), first.texts)
        val again = KeptVectors(file, 2)
        assertEquals(listOf(3f, 2f), again.of(listOf("bcé", "de"), ::embed).map { it[0] })
        assertEquals(listOf("a", "bcé", "de"), asked)
        assertEquals(listOf("bcé", "de"), KeptVectors(file, 2).texts)
        assertEquals(listOf("kept"), folder.list()?.toList())
    }

    @Test
    fun whatAnInterruptCutShortIsNotComputedAgain() {
        val asked = ArrayList<String>()
        var stopAt = "c"
        fun embed(text: String): FloatArray {
            if (text == stopAt) throw InterruptedIOException("stopped")
            return floatArrayOf(1f).also { asked += text }
        }
        val file = File(folder, "kept")
        val kept = KeptVectors(file, 1)
        assertFailsWith<InterruptedIOException> { kept.of(listOf("a", "b", "c"), ::embed) }
        stopAt = ""
        kept.of(listOf("a", "b"), ::embed)
        assertEquals(listOf("a", "b"), KeptVectors(file, 1).texts)
        kept.of(listOf("a", "b", "c"), ::embed)
        assertEquals(listOf("a", "b", "c"), asked)
        assertEquals(asked, KeptVectors(file, 1).texts)
    }

    @Test
    fun aFormKeepsTheDirectionInFewerBytes() {
        val vector = FloatArray(19) { kotlin.math.sin(1.7f * it) }
        val query = FloatArray(19) { kotlin.math.cos(0.4f * it) }
        val (whole, byte, bit) = VectorForm.entries.map { it.unpack(it.pack(vector), 19) }
        assertEquals(vector.toList(), whole.toList())
        assertEquals(cosine(query, vector), cosine(query, byte), 0.01)
        assertEquals(vector.map { if (it >= 0) 1f else -1f }, bit.toList())
        assertEquals(listOf(76, 19, 3), VectorForm.entries.map { it.bytes(19) })
        assertEquals(List(3) { 0f }, VectorForm.INT8.unpack(VectorForm.INT8.pack(FloatArray(3)), 3).toList())
        val sizes = VectorForm.entries.map { form ->
            val file = File(folder, form.id)
            KeptVectors(file, 19, form).of(listOf("a")) { vector }
            val again = KeptVectors(file, 19, form)
            assertEquals(listOf("a"), again.texts)
            val kept = again.of(listOf("a")) { error("computed again") }.single()
            assertEquals(form.unpack(form.pack(vector), 19).toList(), kept.toList())
            file.length().toInt()
        }
        assertEquals(listOf(57, 73), listOf(sizes[0] - sizes[1], sizes[0] - sizes[2]))
        assertEquals(VectorForm.INT8, VectorForm.of("int8"))
        assertFailsWith<BundleException> { VectorForm.of("float16") }
    }

    @Test
    fun whatIsDamagedCountsAsNone() {
        val file = File(folder, "kept")
        KeptVectors(file, 2).of(listOf("a", "b")) { FloatArray(2) }
        val whole = file.readBytes()
        assertEquals(listOf("a", "b"), KeptVectors(file, 2).texts)
        for (place in whole.indices) {
            file.writeBytes(whole.copyOf().also { it[place]++ })
            assertEquals(emptyList(), KeptVectors(file, 2).texts, "byte $place")
            file.writeBytes(whole.copyOf(place))
            assertEquals(emptyList(), KeptVectors(file, 2).texts, "$place bytes")
        }
        file.writeBytes(whole)
        assertEquals(emptyList(), KeptVectors(file, 3).texts)
    }

    @Test
    fun aFolderThatCannotBeWrittenKeepsThemInMemory() {
        val file = File(folder, "a file").apply { writeText("in the way") }
        val kept = KeptVectors(File(file, "kept"), 1)
        assertEquals(1f, kept.of(listOf("a")) { floatArrayOf(1f) }.single()[0])
        assertEquals(listOf("a"), kept.texts)
    }

    @Test
    fun anotherModelsVectorsGo() {
        File(folder, "0123456789abcdef-2.int8").writeText("old")
        val manifest = BundleManifest.parse(EMBEDS)
        KeptVectors.of(manifest, folder)!!.of(listOf("a")) { FloatArray(2) }
        assertEquals(listOf("${manifest.model.sha256.take(16)}-2.float32"), folder.list()?.toList())
        assertNull(KeptVectors.of(BundleManifest.parse(BundleManifestTest.MANIFEST), folder))
        assertEquals(2, BundleManifest.parse(EMBEDS).vectorSize)
    }

    @Test
    fun textsAreRankedByTheirVectors() {
        val session = Counting { encoding -> floatArrayOf(encoding.size.toFloat(), 2f) }
        val classifier = classifier(EMBEDS, session)
        val found = classifier.rank("so good", listOf("so", "so good", "so good so good")).found!!
        assertEquals("so good", found[0].text)
        assertEquals(1.0, found[0].score, 1e-6)
        assertEquals(4, session.runs)
        classifier.rank("so", listOf("so good", "so"))
        assertEquals(5, session.runs) // the query's alone
        assertEquals(listOf("so good", "so"), classifier.keptTexts)
        assertFailsWith<BundleException> { classifier.classify("so good") }
        assertFailsWith<BundleException> { classifier(EMBEDS, Counting { FloatArray(3) }).rank("so", listOf("good")) }
    }

    @Test
    fun promptsStandBeforeQueryAndTexts() {
        val prompts = "\"query_prompt\": \"so \", \"text_prompt\": \"good \","
        val asked = ArrayList<List<Int>>()
        val session = Counting { encoding -> floatArrayOf(1f, 2f).also { asked += encoding.ids.asList() } }
        val classifier = classifier(EMBEDS.replace("\"size\"", "$prompts \"size\""), session)
        assertEquals(Prompts("so ", "good "), classifier.manifest.prompts)
        val found = classifier.rank("good", listOf("so so", "so", "good so so so")).found!!
        assertEquals(listOf("so so", "so", "good so so so"), found.map { it.text }) // as they were given, without prompts
        val expected = listOf("so good", "good so so", "good so", "good so so so")
        assertEquals(expected.map { tokenizer.encode(it).ids.asList() }.toSet(), asked.toSet())
        assertEquals("so good", Prompts("so ").ofQuery("so good"))
        assertEquals(Prompts(), BundleManifest.parse(EMBEDS).prompts)
    }

    @Test
    fun aModelThatScoresPairsRunsForEach() {
        val scores = "{\"pair\": true, \"problem\": \"regression\", \"activation\": \"sigmoid\","
        val text = BundleManifestTest.MANIFEST.replaceFirst("[\"no\", \"yes\"]", "[\"score\"]").replaceFirst("{", scores)
        val session = Counting { encoding -> floatArrayOf(encoding.size - 8f) }
        val found = classifier(text, session).rank("so", listOf("so", "so good so good", "so good")).found!!
        assertEquals(listOf("so good so good", "so good", "so"), found.map { it.text })
        assertTrue(found.all { it.score in 0.0..1.0 } && found[0].score > found[1].score)
        assertEquals(3, session.runs)
        val other = classifier(BundleManifestTest.MANIFEST, Counting { FloatArray(2) })
        assertFalse(other.manifest.ranksTexts)
        assertFailsWith<BundleException> { other.rank("so", listOf("good")) }
    }

    @Test
    fun aManifestOfVectorsIsReadStrictly() {
        val wrong = listOf(
            EMBEDS.replace("\"size\": 2", "\"size\": 0"),
            EMBEDS.replace("\"size\": 2", "\"size\": 65537"),
            EMBEDS.replace("\"labels\": []", "\"labels\": [\"a\"]"),
            EMBEDS.replaceFirst("{", "{\"pair\": true,"),
            EMBEDS.replaceFirst("{", "{\"windows\": {\"overlap\": 2, \"combine\": \"mean\"},"),
            EMBEDS.replace("feature-extraction", "text-classification"),
            BundleManifestTest.MANIFEST.replace("text-classification", "feature-extraction"),
            BundleManifestTest.MANIFEST.replace("[\"no\", \"yes\"]", "[]"),
        )
        for (text in wrong) assertFailsWith<BundleException>(text) { BundleManifest.parse(text) }
    }

    private val tokenizer = Tokenizer.load(File(Goldens.folders[0], "tokenizer.bin"))

    private fun classifier(manifest: String, session: ModelSession) =
        TextClassifier(BundleManifest.parse(manifest), tokenizer, session)

    private class Counting(private val answer: (Encoding) -> FloatArray) : ModelSession {
        var runs = 0
        override fun run(encoding: Encoding) = answer(encoding).also { runs++ }
        override fun close() = Unit
    }

    private companion object {
        val EMBEDS = BundleManifestTest.MANIFEST
            .replace("text-classification", "feature-extraction")
            .replace("[\"no\", \"yes\"]", "[]")
            .replaceFirst("{", "{\"vector\": {\"size\": 2, \"normalized\": true, \"judged\": \"pairs\"},")
    }
}
