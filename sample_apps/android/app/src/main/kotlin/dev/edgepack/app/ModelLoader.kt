package dev.edgepack.app

import android.content.Context
import dev.edgepack.core.BundleException
import dev.edgepack.core.BundleManifest
import dev.edgepack.core.FileRecord
import dev.edgepack.core.ModelDownloader
import dev.edgepack.core.ModelStore
import dev.edgepack.core.TextClassifier
import dev.edgepack.core.VectorForm
import dev.edgepack.core.requireFor
import dev.edgepack.runtime.PackagedRuntime
import java.io.File
import java.io.FileNotFoundException
import java.net.URI

/** The bundle's files where a runtime opens them. */
class ModelFiles(val manifest: BundleManifest, val tokenizer: File, val model: File)

/**
 * Brings the bundle to where the runtime can open it by path, and opens it.
 *
 * The model comes out of the assets, or from the server if the app was packaged so. Every file is compared with the
 * manifest: its SHA-256 when it comes in, its size at each start. Blocks: not for the main thread.
 */
class ModelLoader(private val context: Context) {
    private val folder = File(context.noBackupFilesDir, "model")
    private val store = ModelStore(folder)

    /** The bundle, warmed up; [progress] hears what share of a download is there. */
    fun load(progress: (Float) -> Unit): TextClassifier {
        val manifest = manifest()
        PackagedRuntime.requireFor(manifest) // before a model is fetched that could not be opened
        val files = files(manifest, progress)
        try {
            val (cache, vectors) = File(context.cacheDir, "model") to File(context.noBackupFilesDir, "vectors")
            val form = VectorForm.of(context.getString(R.string.vector_form))
            return TextClassifier.load(manifest, files.tokenizer, files.model, PackagedRuntime, cache, vectors, form)
        } catch (e: BundleException) { // bring it in again next time: the copy may have been damaged since
            store.remove(manifest.tokenizer)
            store.remove(manifest.model)
            throw e
        }
    }

    /** The bundle's files, checked and in their place. */
    fun files(progress: (Float) -> Unit): ModelFiles = files(manifest(), progress)

    private fun files(manifest: BundleManifest, progress: (Float) -> Unit): ModelFiles {
        folder.mkdirs()
        store.keepOnly(listOf(manifest.tokenizer, manifest.model))
        val tokenizer = fromAssets(manifest.tokenizer)
        val folderUrl = context.getString(R.string.model_folder_url)
        val record = manifest.model
        val model = if (folderUrl.isEmpty()) fromAssets(record) else download(record, folderUrl, progress)
        return ModelFiles(manifest, tokenizer, model)
    }

    private fun manifest(): BundleManifest = try {
        BundleManifest.parse(context.assets.open(BundleManifest.MANIFEST_NAME).use { it.readBytes().decodeToString() })
    } catch (e: FileNotFoundException) {
        val name = BundleManifest.MANIFEST_NAME
        throw BundleException("$name is not in the app's assets; make the project with edgepack package", e)
    }

    private fun fromAssets(record: FileRecord): File = try {
        store.install(record) { context.assets.open(record.path) }
    } catch (e: FileNotFoundException) {
        throw BundleException("${record.path} is not in the app's assets; package the app again", e)
    }

    private fun download(record: FileRecord, folderUrl: String, progress: (Float) -> Unit): File {
        store.find(record)?.let { return it }
        val url = URI("${folderUrl.trimEnd('/')}/${record.path}").toURL()
        return ModelDownloader().download(url, record, store.place(record)) { progress(it.toFloat() / record.bytes) }
    }
}
