package dev.edgepack.app

import kotlinx.coroutines.delay
import kotlinx.coroutines.flow.Flow
import kotlinx.coroutines.flow.collectLatest

/**
 * Answers the latest of [inputs]: [show] gets each answer, and [settle] one that no other input came after for
 * [pauseMillis]; earlier inputs may be skipped.
 */
internal suspend fun <I, O> answerLatest(
    inputs: Flow<I>,
    pauseMillis: Long,
    answer: suspend (I) -> O,
    show: (O) -> Unit,
    settle: (O) -> Unit,
) = inputs.collectLatest { input ->
    val output = answer(input)
    show(output)
    delay(pauseMillis)
    settle(output)
}
