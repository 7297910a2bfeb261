package dev.edgepack.app.ui

import androidx.compose.foundation.layout.Spacer
import androidx.compose.foundation.layout.fillMaxWidth
import androidx.compose.foundation.layout.height
import androidx.compose.runtime.Composable
import androidx.compose.ui.Modifier
import androidx.compose.ui.res.stringResource
import androidx.compose.ui.semantics.LiveRegionMode
import androidx.compose.ui.semantics.contentDescription
import androidx.compose.ui.semantics.liveRegion
import androidx.compose.ui.semantics.semantics
import androidx.compose.ui.unit.dp
import dev.edgepack.app.ModelState
import dev.edgepack.app.Output
import dev.edgepack.app.R

/**
 * What a screen reader says by itself; nothing to see. It is there in every state, since a live region is announced when it
 * changes, and apart, since one around the answer would be announced at every key.
 */
@Composable
internal fun Announced(words: String) {
    val size = Modifier.fillMaxWidth().height(1.dp) // a node without one is not announced
    Spacer(
        modifier = size.semantics {
            liveRegion = LiveRegionMode.Polite
            if (words.isNotEmpty()) contentDescription = words
        },
    )
}

/** How far a download is, in tenths; why the model cannot be used; an answer, once typing has paused. */
@Composable
internal fun announcement(model: ModelState, settled: Output?): String = when (model) {
    is ModelState.Preparing -> preparing(model.downloaded, step = TENTH)
    is ModelState.Failed -> "${stringResource(R.string.failed_title)}. ${model.message}"
    is ModelState.Ready -> settled?.let { spoken(it) }.orEmpty()
}

/** That the model is on its way, and by how many percent, in steps of [step]. */
@Composable
internal fun preparing(share: Float?, step: Int): String =
    if (share == null) stringResource(R.string.preparing) else stringResource(R.string.downloading, (share * PERCENT).toInt() / step * step)

/** What stands first in an answer, in a few words. */
@Composable
private fun spoken(output: Output): String {
    val prediction = output.prediction
    val error = output.error
    val found = prediction?.found
    val score = prediction?.score
    return when {
        error != null -> error
        prediction == null ->
            if (output.input.own) stringResource(R.string.write_labels) else stringResource(R.string.write_list)
        found != null -> stringResource(R.string.found_description, stringResource(R.string.found_title), found.firstOrNull()?.text.orEmpty())
        score != null -> {
            val value = number(score, SCORE_DECIMALS)
            stringResource(R.string.found_description, stringResource(R.string.score_title), value)
        }
        prediction.isSet ->
            prediction.labels.joinToString { shown(it.label) }.ifEmpty { stringResource(R.string.no_labels) }
        prediction.labels.isNotEmpty() -> {
            val best = prediction.labels[0]
            val label = stringResource(R.string.label_description, shown(best.label), percent(best.probability))
            if (prediction.isSure) label else "${stringResource(R.string.not_sure_title)}. $label"
        }
        prediction.entities.isEmpty() -> stringResource(R.string.no_entities)
        else -> prediction.entities.joinToString("; ") { "${output.input.text.substring(it.start, it.end)}, ${shown(it.type)}" }
    }
}

private const val TENTH = 10
