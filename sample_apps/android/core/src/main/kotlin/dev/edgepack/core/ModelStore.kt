package dev.edgepack.core

import java.io.File
import java.io.InputStream

/**
 * The bundle's files on the device, where runtimes open them by path.
 *
 * A file's SHA-256 is compared when it comes in, before it gets its name; at each later start its size is. The
 * name holds the hash, so an update of the app never meets the old model.
 */
class ModelStore(private val folder: File) {
    /** Where [record] is or will be. */
    fun place(record: FileRecord): File = File(folder, "${record.sha256.take(HASH_LETTERS)}-${record.name}")

    /** The file, if it is there with the right size; one of another size is deleted. */
    fun find(record: FileRecord): File? {
        val file = place(record)
        if (file.isFile && file.length() == record.bytes) return file
        file.delete()
        return null
    }

    /** Copies [source] in; [DamagedFileException] if it is not the manifest's file. */
    fun install(record: FileRecord, source: () -> InputStream): File {
        find(record)?.let { return it }
        val part = PartialFile(place(record), record)
        part.restart()
        source().use { part.append(it) }
        return part.finish()
    }

    /** Deletes what belongs to none of [records]: files of earlier versions of the app. */
    fun keepOnly(records: List<FileRecord>) {
        val kept = records.flatMap { listOf(place(it).name, "${place(it).name}.part") }
        folder.listFiles().orEmpty().filter { it.name !in kept }.forEach { it.delete() }
    }

    /** Forgets a file that turned out to be unusable, so that the next start brings it in again. */
    fun remove(record: FileRecord) {
        place(record).delete()
    }

    private companion object {
        const val HASH_LETTERS = 16
    }
}
