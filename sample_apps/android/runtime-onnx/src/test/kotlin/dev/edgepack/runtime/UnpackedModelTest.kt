package dev.edgepack.runtime

import java.io.File
import kotlin.io.path.createTempDirectory
import kotlin.test.AfterTest
import kotlin.test.Test
import kotlin.test.assertEquals
import kotlin.test.assertNull
import kotlin.test.assertTrue

/** A kept file is used where it is whole, of this model and of this version; it is made again else, and never needed. */
class UnpackedModelTest {
    private val folder: File = createTempDirectory().toFile()
    private val read = { file: File -> "kept ${file.readText()}" }
    private val unpack = { place: File ->
        place.writeText("unpacked")
        File(place.parentFile, UnpackedModel.WEIGHTS).writeText("weights")
        "made"
    }

    @AfterTest
    fun tidy() {
        folder.deleteRecursively()
    }

    private fun open(model: String = "a", version: String = "1.30", kept: (File) -> String = read) =
        UnpackedModel(folder, model.repeat(64), version).open(kept, unpack)

    @Test
    fun whatWasKeptIsOpenedTheNextTime() {
        assertEquals(listOf("made", "kept unpacked", "kept unpacked"), List(3) { open() })
    }

    @Test
    fun anotherModelAnotherVersionAndADamagedFileAreMadeAgain() {
        open()
        assertEquals("made", open(model = "b"))
        assertEquals("made", open(model = "b", version = "1.31"))
        for (name in listOf(UnpackedModel.GRAPH, UnpackedModel.WEIGHTS)) {
            val file = File(folder.listFiles()!!.single(), name)
            file.writeText(file.readText().uppercase())
            assertEquals("made", open(model = "b", version = "1.31"))
            assertEquals("kept unpacked", open(model = "b", version = "1.31"))
        }
        File(folder.listFiles()!!.single(), UnpackedModel.WEIGHTS).delete()
        assertEquals("made", open(model = "b", version = "1.31"))
        assertEquals(1, folder.listFiles()!!.size)
    }

    @Test
    fun aFileThatTheRuntimeRefusesIsMadeAgain() {
        open()
        assertEquals("made", open(kept = { error("refused") }))
        assertEquals("kept unpacked", open())
    }

    @Test
    fun whereNothingCanBeSavedNothingStays() {
        val fails = { place: File ->
            place.writeText("half")
            error("disk full")
        }
        assertNull(UnpackedModel(folder, "a", "1").open(read, fails))
        assertTrue(folder.listFiles()!!.isEmpty())
        val file = File(folder, "file").apply { writeText("") }
        assertEquals("made", UnpackedModel(file, "a", "1").open(read) { "made" })
    }
}
