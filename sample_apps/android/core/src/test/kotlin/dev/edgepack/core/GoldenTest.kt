package dev.edgepack.core

import java.io.File
import kotlin.math.abs
import kotlin.random.Random
import kotlin.test.Test
import kotlin.test.assertEquals
import kotlin.test.assertFailsWith
import kotlin.test.assertNotNull
import kotlin.test.assertTrue

/** Ids, offsets and words are the reference's, on every line of every golden file. */
class GoldenTest {
    @Test
    fun everyGoldenLineComesOutEqual() {
        for (folder in Goldens.folders) {
            val files = folder.listFiles { file -> file.extension == "jsonl" }.orEmpty().sorted()
            assertTrue(files.isNotEmpty(), "$folder has no .jsonl file")
            for (file in files) check(folder, file)
        }
    }

    private fun check(folder: File, file: File) {
        val tokenizer = Tokenizer.load(File(folder, "tokenizer.bin"))
        val maxLength by lazy { Goldens.manifest(folder).maxLength }
        val wrong = ArrayList<String>()
        var lines = 0
        Goldens.read(file) { number, line ->
            lines++
            val given = line.tokens()
            val got = given ?: tokenizer.encode(line.text, line.pair, line.maxLength ?: maxLength, line.windows != null)
            val words = line.words?.let { tokenizer.words(line.text, got).flatMap { listOf(it.first, it.start, it.end) } }
            val difference = (if (given == null) tokens(got, line) else null)
                ?: if (words == line.words) null else "has the words $words, not ${line.words}"
            if (difference != null) wrong += "line $number: ${escaped(line.text)} $difference"
        }
        println("goldens: $file: ${lines - wrong.size} of $lines lines equal")
        assertTrue(lines > 0, "$file is empty")
        assertEquals(emptyList(), wrong.take(10), "${wrong.size} of $lines lines of $file differ")
    }

    @Test
    fun labelSetsAreTheReferences() = eachAnswer({ it.thresholds }, "label sets") { manifest, thresholds, line ->
        val logits = line.logits!!.map { it.toFloat() }.toFloatArray()
        val found = labelSet(logits, manifest.labels, thresholds).map { it.label }.toSet()
        assertEquals(line.labelSet?.toSet(), found, escaped(line.text))
    }

    @Test
    fun scoresAreTheReferences() = eachAnswer({ it.activation }, "scores") { _, activation, line ->
        val found = scoreOf(line.logits!!.single().toFloat(), activation)
        assertEquals(assertNotNull(line.score), found, 1e-3, escaped(line.text))
    }

    /** Every line with logits of the folders whose manifest has such a part; fuzzed strings have none. */
    private fun <T : Any> eachAnswer(
        part: (BundleManifest) -> T?,
        name: String,
        check: (BundleManifest, T, Goldens.Line) -> Unit,
    ) {
        for (folder in Goldens.folders.filter { File(it, BundleManifest.MANIFEST_NAME).isFile }) {
            val manifest = Goldens.manifest(folder)
            val found = part(manifest) ?: continue
            var lines = 0
            for (file in folder.listFiles { file -> file.extension == "jsonl" }.orEmpty().sorted()) {
                Goldens.read(file) { _, line ->
                    if (line.logits == null) return@read
                    check(manifest, found, line)
                    lines++
                }
            }
            println("goldens: $folder: $lines $name equal")
            assertTrue(lines > 0)
        }
    }

    @Test
    fun windowsAreTheReferences() {
        for (folder in Goldens.folders) {
            val file = File(folder, "windows.jsonl").takeIf { it.isFile } ?: continue
            val tokenizer = Tokenizer.load(File(folder, "tokenizer.bin"))
            var lines = 0
            Goldens.read(file) { number, line ->
                val encoding = tokenizer.encode(line.text, line.pair, line.maxLength!!, whole = true)
                val spans = windowSpans(encoding.sequences, line.maxLength!!, line.overlap)
                assertEquals(line.windows, spans.flatMap { listOf(it.first, it.last + 1) }, "line $number")
                assertEquals(line.inputs, spans.map { encoding.window(spans, it).ids.asList() }, "line $number")
                val logits = combineWindows(line.found!!, spans, encoding.size, line.columns, line.combine)
                val expected = line.logits!!
                assertEquals(expected.size, logits.size, "line $number")
                assertTrue(logits.indices.all { abs(logits[it] - expected[it]) < 2e-5 }, "line $number")
                lines++
            }
            println("goldens: $file: $lines texts in windows equal")
            assertTrue(lines > 0)
        }
    }

    /** How tokens differ from the line's. */
    private fun tokens(got: Encoding, line: Goldens.Line): String? {
        val offsets = got.starts.zip(got.ends).flatMap { listOf(it.first, it.second) }
        val isSame = got.ids.asList() == line.ids && got.typeIds.asList() == line.typeIds && offsets == line.offsets
        return if (isSame) null else "gives ${got.ids.asList()} $offsets, not ${line.ids} ${line.offsets}"
    }

    @Test
    fun aDamagedAssetIsAClearErrorAndNothingElse() {
        val good = File(Goldens.folders[0], "tokenizer.bin").readBytes()
        val damaged = (0 until good.size step maxOf(1, good.size / 300)).flatMap { at ->
            listOf(good.copyOf(at), good.copyOf().also { it[at] = (it[at] + 1).toByte() })
        }
        var refused = 0
        for (data in damaged) {
            try {
                readTokenizer(data)
            } catch (e: BundleException) {
                refused++
                assertTrue("tokenizer asset" in e.message, e.message)
            }
        }
        assertTrue(refused >= damaged.size * 9 / 10, "only $refused of ${damaged.size} damaged assets are refused")
        assertFailsWith<BundleException> { readTokenizer(good.copyOf().also { it[4] = 9 }) }
        assertFailsWith<DamagedFileException> { readTokenizer(ByteArray(0)) }
    }

    @Test
    fun damagedContentIsRefusedOrReadAndNothingElse() {
        val random = Random(SEED)
        for (folder in Goldens.folders.filter { File(it, "tokenizer.bin").length() < SMALL }) {
            val good = File(folder, "tokenizer.bin").readBytes()
            val streams = unpacked(good)
            repeat(DAMAGES) {
                val damaged = streams.map { it.copyOf() }
                val stream = damaged[random.nextInt(damaged.size)]
                if (stream.isNotEmpty()) stream[random.nextInt(stream.size)] = random.nextInt(256).toByte()
                val data = damaged.fold(good.copyOf(5)) { all, it -> all + packed(it) }
                try {
                    readTokenizer(data).encode(HARD, maxLength = 64)
                } catch (e: BundleException) {
                    assertTrue("tokenizer asset" in e.message && '\n' !in e.message, e.message)
                }
            }
        }
    }

    private fun escaped(text: String) =
        text.take(60).map { if (it in ' '..'~') it.toString() else "\\u%04x".format(it.code) }.joinToString("")

    private companion object {
        const val SEED = 5
        const val SMALL = 100_000L // bytes: reading a larger one hundreds of times takes long
        const val DAMAGES = 20
        const val HARD = "The movie, it's 12 \u00c9 e\u0301 \u4e2d <mask> \uD83D\uDE00"
    }
}
