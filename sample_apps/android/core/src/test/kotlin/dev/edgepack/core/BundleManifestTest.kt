package dev.edgepack.core

import java.io.File
import kotlin.test.Test
import kotlin.test.assertEquals
import kotlin.test.assertFailsWith
import kotlin.test.assertFalse
import kotlin.test.assertTrue

class BundleManifestTest {
    @Test
    fun aManifestAsEdgepackWritesIt() {
        val manifest = BundleManifest.parse(MANIFEST)
        assertEquals(listOf("no", "yes"), manifest.labels)
        assertEquals(24, manifest.maxLength)
        assertEquals(listOf("input_ids", "attention_mask"), manifest.inputs)
        assertEquals("onnx/model_quantized.onnx", manifest.model.path)
        assertEquals("model_quantized.onnx", manifest.model.name)
        assertEquals(5831, manifest.tokenizer.bytes)
        assertEquals(0.94, manifest.metrics.getValue("artifact").value)
        assertFalse(manifest.pair)
        assertFalse(manifest.labelsWords)
    }

    @Test
    fun aModelOfFixedLengthIsFedWithPadding() {
        val text = MANIFEST.replace("[\"batch\", \"seq\"]", "[1, 4]")
        val manifest = BundleManifest.parse(text)
        val ids = intArrayOf(2, 7, 3)
        val encoding = Encoding(ids, intArrayOf(0, 0, 1), IntArray(3), IntArray(3), intArrayOf(-1, 0, -1))
        assertEquals(4, manifest.fixedLength)
        assertEquals(listOf(2L, 7L, 3L, 834L), manifest.inputTensor("input_ids", encoding).toList())
        assertEquals(listOf(1L, 1L, 1L, 0L), manifest.inputTensor("attention_mask", encoding).toList())
        assertEquals(listOf(0L, 0L, 1L, 0L), manifest.inputTensor("token_type_ids", encoding).toList())
        assertEquals(3, BundleManifest.parse(MANIFEST).inputTensor("input_ids", encoding).size)
        assertFailsWith<BundleException> { manifest.inputTensor("position_ids", encoding) }
    }

    @Test
    fun theManifestsOfTheGoldens() {
        val folders = Goldens.folders.filter { File(it, BundleManifest.MANIFEST_NAME).isFile }
        for (manifest in folders.map { Goldens.manifest(it) }) {
            assertTrue(manifest.labels.size > 1 || manifest.activation != null || manifest.vectorSize != null)
        }
        assertTrue(folders.isNotEmpty())
    }

    @Test
    fun whatIsWrongIsNamed() {
        fun refused(old: String, new: String, message: String) {
            assertTrue(old in MANIFEST)
            val error = assertFailsWith<BundleException> { BundleManifest.parse(MANIFEST.replace(old, new)).model }
            assertTrue(message in error.message, error.message)
        }
        refused("\"schema\": 1", "\"schema\": 2", "schema 2, this app reads 1")
        refused("text-classification", "translation", "task is translation")
        refused("\"max_length\": 24", "\"max_length\": \"24\"", "max_length is 24, not a whole number")
        refused("\"labels\": [\"no\", \"yes\"]", "\"labels\": [\"no\", 1]", "labels[1] is 1, not a string")
        refused("onnx/model_quantized.onnx", "../x", "outside the bundle")
        refused("onnx/model_quantized.onnx", "/x", "outside the bundle")
        refused("\"teacher\": {", "\"teachers\": {", "teacher is missing, not an object")
        refused("\"shipped\": true", "\"shipped\": false", "a model and tokenizer.bin are needed")
    }

    @Test
    fun windowsOverlapByHalfAtMost() {
        fun with(fields: String) = BundleManifest.parse(MANIFEST.replaceFirst("{", "{\"windows\": $fields,"))
        assertEquals(null, BundleManifest.parse(MANIFEST).windows)
        val windows = with("{\"overlap\": 6, \"combine\": \"max\"}").windows!!
        assertEquals(6 to "max", windows.overlap to windows.combine)
        refused(
            ::with,
            "{\"overlap\": 13, \"combine\": \"max\"}" to "windows of 24 tokens overlap by 13",
            "{\"overlap\": -1, \"combine\": \"max\"}" to "overlap by -1",
            "{\"overlap\": 6, \"combine\": \"inner\"}" to "combine is inner, not one of [mean, max]",
            "3" to "not an object",
        )
    }

    @Test
    fun aChainIsOfTagsOfWords() {
        val text = MANIFEST.replace("text-classification", "token-classification")
        fun with(chain: String, manifest: String = text) =
            BundleManifest.parse(manifest.replaceFirst("{", "{\"chain\": $chain,")).chain
        assertEquals(null, BundleManifest.parse(text).chain)
        assertEquals(null, with("null"))
        assertTrue(with("{\"unseen\": -5, \"pairs\": [\"2 0 1.5\", \"000000 2 -9999\"]}") != null)
        refused(
            { with(it) },
            "{\"unseen\": 1e999, \"pairs\": []}" to "unseen is Infinity, not a finite number",
            "{\"unseen\": \"-5\", \"pairs\": []}" to "unseen is -5, not a number",
            "{\"unseen\": -5.0}" to "pairs is missing, not a list",
            "{\"unseen\": -5.0, \"pairs\": [1]}" to "pairs[0] is 1, not a string",
            "{\"unseen\": -5.0, \"pairs\": [\"0 3 1.0\"]}" to "0 3 1.0 is no pair of 2 tags and its score",
            "3" to "not an object",
        )
        val error = assertFailsWith<BundleException> { with("{\"unseen\": -5.0, \"pairs\": []}", MANIFEST) }
        assertTrue("has a chain of tags, and is for text-classification" in error.message, error.message)
    }

    @Test
    fun labelSetsHaveAThresholdForEachLabel() {
        fun with(fields: String) = BundleManifest.parse(MANIFEST.replaceFirst("{", "{$fields,"))
        val sets = "\"problem\": \"multi_label_classification\""
        assertEquals(listOf(0.25, 0.5), with("$sets, \"thresholds\": [0.25, 0.5]").thresholds)
        assertEquals(null, BundleManifest.parse(MANIFEST).thresholds)
        assertEquals(null, with("\"problem\": null, \"thresholds\": null").thresholds)
        refused(
            ::with,
            sets to "thresholds is missing, not a list",
            "$sets, \"thresholds\": [0.5]" to "has 1 thresholds for 2 labels",
            "$sets, \"thresholds\": [0.5, 1]" to "thresholds[1] is 1, not a number above 0 and below 1",
            "$sets, \"thresholds\": [0, 0.5]" to "thresholds[0] is 0, not a number above 0 and below 1",
            "\"problem\": \"ranking\"" to "problem of text-classification is ranking",
        )
    }

    /** Each text that [parse] is given is refused with its message. */
    private fun refused(parse: (String) -> Any?, vararg cases: Pair<String, String>) {
        for ((text, message) in cases) {
            val error = assertFailsWith<BundleException> { parse(text) }
            assertTrue(message in error.message, error.message)
        }
    }

    companion object {
        const val MANIFEST = """{
          "schema": 1, "task": "text-classification", "labels": ["no", "yes"], "max_length": 24, "unknown": {"x": []},
          "padding": {"side": "right", "id": 834},
          "inputs": [{"name": "input_ids", "dtype": "int64", "shape": ["batch", "seq"]},
            {"name": "attention_mask", "shape": []}],
          "target": "android-onnx", "runtime": {"name": "onnxruntime", "min_version": "1.16"},
          "files": [
            {"path": "README.md", "bytes": 1638, "sha256": "d2", "shipped": false},
            {"path": "onnx/model_quantized.onnx", "bytes": 941174, "sha256": "06", "shipped": true},
            {"path": "tokenizer.bin", "bytes": 5831, "sha256": "1e", "shipped": true}],
          "shipped_bytes": 947005,
          "metrics": {"artifact": {"name": "accuracy", "value": 0.94, "n": 800, "low": 0.92, "high": 0.96}},
          "teacher": {"name": "t"}
        }"""
    }
}
