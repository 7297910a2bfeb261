package dev.edgepack.app

import dev.edgepack.core.BundleException
import java.io.IOException
import kotlin.test.Test
import kotlin.test.assertEquals
import kotlin.test.assertFailsWith
import kotlin.test.assertTrue

/** What is said where an app would end: the Java machine itself looks for libraries that are not there. */
class OrSayTest {
    private fun said(run: () -> String) = orSay("Toaster", run) { "said: $it" }

    @Test
    fun aLibraryThatIsMissingIsSaidAtTheFirstTextAndAtEachLaterOne() {
        repeat(2) { // an UnsatisfiedLinkError, then a NoClassDefFoundError: both are LinkageErrors
            val words = said { LinksAtItsFirstText.run() }
            assertTrue(words.startsWith("said: Toaster has no native library for this device ("), words)
        }
    }

    @Test
    fun aMethodThatIsNotInTheLibraryIsSaid() {
        val words = said { NotInTheLibrary().run() }
        assertTrue(words.startsWith("said: Toaster has no native library for this device ("), words)
    }

    @Test
    fun filesExplainThemselves() {
        assertEquals("an answer", said { "an answer" })
        assertEquals("said: it is damaged", said { throw BundleException("it is damaged") })
        assertEquals("said: IOException", said { throw IOException() })
    }

    @Test
    fun aMistakeInTheAppIsNotHidden() {
        assertFailsWith<IllegalStateException> { said { error("a mistake") } }
    }

    private object LinksAtItsFirstText {
        init {
            System.loadLibrary("edgepack_no_such_library")
        }

        fun run() = "linked"
    }

    private class NotInTheLibrary {
        external fun run(): String
    }
}
