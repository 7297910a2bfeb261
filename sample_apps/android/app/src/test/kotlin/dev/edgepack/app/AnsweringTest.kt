package dev.edgepack.app

import kotlin.test.Test
import kotlin.test.assertEquals
import kotlinx.coroutines.cancelAndJoin
import kotlinx.coroutines.flow.MutableStateFlow
import kotlinx.coroutines.flow.first
import kotlinx.coroutines.launch
import kotlinx.coroutines.runBlocking

class AnsweringTest {
    private val typed = MutableStateFlow(1)
    private val shown = mutableListOf<Int>()
    private val settled = MutableStateFlow(emptyList<Int>())

    @Test
    fun anAnswerSettlesOnlyOnceTypingHasPaused() = runBlocking {
        val answering = launch {
            answerLatest(typed, PAUSE_MILLIS, { it * TENFOLD }, ::show) { settled.value += it }
        }
        settled.first { it.isNotEmpty() }
        assertEquals(listOf(10, 20, 30), shown)
        assertEquals(listOf(30), settled.value)
        typed.value = 4
        settled.first { it.size == 2 }
        assertEquals(listOf(30, 40), settled.value)
        answering.cancelAndJoin()
    }

    /** Two more inputs come while answers are shown, before any pause begins. */
    private fun show(answer: Int) {
        shown += answer
        if (typed.value < LAST) typed.value++
    }

    private companion object {
        const val PAUSE_MILLIS = 50L
        const val TENFOLD = 10
        const val LAST = 3
    }
}
