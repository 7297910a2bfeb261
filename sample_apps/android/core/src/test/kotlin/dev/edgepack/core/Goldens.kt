package dev.edgepack.core

import java.io.File

/**
 * Bundles to prove the tokenizer on: folders with `tokenizer.bin` and files of golden lines (`*.jsonl`).
 *
 * They come from the system property `edgepack.goldens` (folders, `:` between them), or from the resources that
 * `edgepack package` puts into the project.
 */
object Goldens {
    val folders: List<File> = folders()

    private fun folders(): List<File> {
        val given = System.getProperty("edgepack.goldens")
        if (given != null) return given.split(':').map(::File)
        val resource = Goldens::class.java.classLoader.getResource("golden/tokenizer.bin")
        return listOf(File((resource ?: error(MISSING)).toURI()).parentFile)
    }

    /** One parsed line. Numbers are `Long` or `Double`. */
    class Line(private val fields: Map<*, *>) {
        val text: String get() = fields["text"] as String
        val pair: String? get() = fields["pair"] as String?
        val maxLength: Int? get() = (fields["max_length"] as Long?)?.toInt()
        val ids: List<Int> get() = ints(fields["input_ids"])
        val typeIds: List<Int> get() = ints(fields["token_type_ids"])
        val offsets: List<Int> get() = (fields["offsets_utf16"] as List<*>).flatMap(::ints)

        /** First token, start and end of each word, where the line says them. */
        val words: List<Int>? get() = (fields["words"] as List<*>?)?.flatMap(::ints)
        val label: Any? get() = fields["label"]

        /** The labels of a set, in the order of the manifest's; null in lines of other tasks. */
        val labelSet: List<String>? get() = (fields["labels"] as List<*>?)?.map { it as String }
        val score: Double? get() = (fields["score"] as Number?)?.toDouble()

        /** Null in lines that are for the tokenizer alone. */
        val logits: List<Double>? get() = fields["logits"]?.let(::doubles)

        /** First token and end of each window, where the text is read in windows. */
        val windows: List<Int>? get() = (fields["windows"] as List<*>?)?.flatMap(::ints)

        /** Of a line of windows: logits of each, how they are put together, and by which overlap. */
        val found: List<FloatArray>?
            get() = (fields["found"] as List<*>?)?.map { of -> doubles(of).map { it.toFloat() }.toFloatArray() }
        val inputs: List<List<Int>> get() = (fields["inputs"] as List<*>).map(::ints)
        val combine: String get() = fields["combine"] as String
        val overlap: Int get() = (fields["overlap"] as Long).toInt()
        val columns: Int get() = (fields["columns"] as Long).toInt()

        /** The text's own tokens, where a line is for words alone and has offsets only; null for a text to encode. */
        fun tokens(): Encoding? {
            if ("input_ids" in fields) return null
            val spans = offsets.chunked(2)
            val zeros = IntArray(spans.size)
            return Encoding(zeros, zeros, IntArray(spans.size) { spans[it][0] }, IntArray(spans.size) { spans[it][1] }, zeros)
        }

        private fun ints(value: Any?): List<Int> = (value as List<*>).map { (it as Long).toInt() }
        private fun doubles(value: Any?): List<Double> =
            if (value is List<*>) value.flatMap(::doubles) else listOf((value as Number).toDouble())
    }

    /** The lines of a file, one at a time. */
    fun read(file: File, use: (number: Int, line: Line) -> Unit) {
        var number = 0
        file.forEachLine { use(++number, Line(Json.parse(it) as Map<*, *>)) }
    }

    /** The manifest beside the goldens. */
    fun manifest(folder: File) = BundleManifest.parse(File(folder, BundleManifest.MANIFEST_NAME).readText())

    private const val MISSING = "no goldens: test a packaged project, or give folders with -Dedgepack.goldens=…"
}
