package dev.edgepack.app

import androidx.lifecycle.SavedStateHandle
import kotlin.test.Test
import kotlin.test.assertEquals

class SavedInputTest {
    private val typed = Input("a text", "another", own = true, labels = "x\ny", several = true, rank = true, list = "p\nq")

    @Test
    fun nothingIsThereAtFirst() = assertEquals(Input(), SavedInput(SavedStateHandle()).input)

    @Test
    fun allThatWasTypedIsThereAgain() {
        val saved = SavedStateHandle()
        SavedInput(saved).input = typed
        assertEquals(typed, SavedInput(saved).input)
        SavedInput(saved).input = typed.cleared
        assertEquals(typed.cleared, SavedInput(saved).input)
    }

    @Test
    fun aTextThatIsTooLongIsNotKept() {
        val saved = SavedStateHandle()
        val most = "x".repeat(SavedInput.LONGEST)
        SavedInput(saved).input = typed.copy(text = most, list = most + "x")
        assertEquals(typed.copy(text = most, list = ""), SavedInput(saved).input)
    }
}
