package dev.edgepack.app.ui

import androidx.compose.foundation.layout.Arrangement
import androidx.compose.foundation.layout.Column
import androidx.compose.foundation.layout.Row
import androidx.compose.foundation.layout.fillMaxWidth
import androidx.compose.material3.LinearProgressIndicator
import androidx.compose.material3.MaterialTheme
import androidx.compose.material3.Text
import androidx.compose.runtime.Composable
import androidx.compose.ui.Modifier
import androidx.compose.ui.res.stringResource
import androidx.compose.ui.semantics.clearAndSetSemantics
import androidx.compose.ui.semantics.contentDescription
import androidx.compose.ui.text.font.FontWeight
import androidx.compose.ui.unit.dp
import dev.edgepack.app.Input
import dev.edgepack.app.Output
import dev.edgepack.app.R
import dev.edgepack.core.BundleManifest
import dev.edgepack.core.Prediction
import dev.edgepack.core.RankedText
import dev.edgepack.core.ScoredLabel
import java.text.NumberFormat

/** What the model says of what is typed. */
@Composable
fun Answer(manifest: BundleManifest, input: Input, output: Output?) {
    Column(verticalArrangement = Arrangement.spacedBy(8.dp)) {
        val prediction = output?.prediction
        val error = output?.error
        val ranks = input.ranked(manifest) != null
        when {
            input.text.isBlank() ->
                Text(if (ranks) stringResource(R.string.type_query) else stringResource(R.string.type_something))
            error != null -> Text(error, color = MaterialTheme.colorScheme.error)
            prediction != null -> Predicted(output.input, prediction)
            output != null && output.input.ranked(manifest) != null -> Text(stringResource(R.string.write_list))
            output != null && output.input.own -> Text(stringResource(R.string.write_labels))
        }
    }
}

@Composable
private fun Predicted(input: Input, prediction: Prediction) {
    val (score, found) = prediction.score to prediction.found
    when {
        found != null -> {
            Heading(stringResource(R.string.found_title))
            for (each in found) FoundRow(each, first = each === found[0])
        }
        score != null -> {
            Heading(stringResource(R.string.score_title))
            Text(number(score, SCORE_DECIMALS), style = MaterialTheme.typography.headlineMedium)
        }
        prediction.isSet -> {
            Heading(stringResource(R.string.labels_title))
            if (prediction.labels.isEmpty()) Text(stringResource(R.string.no_labels))
            for (label in prediction.labels) LabelRow(label, first = false)
        }
        prediction.labels.isEmpty() -> {
            val title =
                if (prediction.tagsEachWord) stringResource(R.string.tags_title) else stringResource(R.string.entities_title)
            Heading(title)
            Entities(input.text, prediction.entities)
        }
        else -> {
            Heading(if (prediction.isSure) stringResource(R.string.labels_title) else stringResource(R.string.not_sure_title))
            if (!prediction.isSure) Text(stringResource(R.string.best_guesses))
            for (label in prediction.labels.take(SHOWN_LABELS)) LabelRow(label, first = prediction.isSure && label === prediction.labels[0])
        }
    }
    Text(latency(prediction), style = MaterialTheme.typography.bodySmall)
}

/** A label, its probability in figures and as a bar; one thing for a screen reader. */
@Composable
private fun LabelRow(label: ScoredLabel, first: Boolean) {
    val name = shown(label.label)
    val percent = percent(label.probability)
    val description = stringResource(R.string.label_description, name, percent)
    Column(modifier = Modifier.fillMaxWidth().clearAndSetSemantics { contentDescription = description }) {
        Row(modifier = Modifier.fillMaxWidth(), horizontalArrangement = Arrangement.SpaceBetween) {
            Text(name, modifier = Modifier.weight(1f), fontWeight = if (first) FontWeight.Bold else null)
            Text(stringResource(R.string.percent, percent))
        }
        LinearProgressIndicator(progress = { label.probability }, modifier = Modifier.fillMaxWidth())
    }
}

/** A text and how well it suits the query; one thing for a screen reader. */
@Composable
private fun FoundRow(found: RankedText, first: Boolean) {
    val score = number(found.score, SCORE_DECIMALS)
    val description = stringResource(R.string.found_description, found.text, score)
    Row(
        modifier = Modifier.fillMaxWidth().clearAndSetSemantics { contentDescription = description },
        horizontalArrangement = Arrangement.spacedBy(16.dp),
    ) {
        Text(found.text, modifier = Modifier.weight(1f), fontWeight = if (first) FontWeight.Bold else null)
        Text(score)
    }
}

@Composable
private fun latency(prediction: Prediction): String = stringResource(
    R.string.latency,
    millis(prediction.tokenizeNanos + prediction.modelNanos),
    millis(prediction.tokenizeNanos),
    millis(prediction.modelNanos),
    prediction.tokens,
)

/** Labels are the data set's words; an underscore reads badly. */
internal fun shown(label: String): String = label.replace('_', ' ')

/** A number as the user's language writes it. */
internal fun number(value: Double, decimals: Int): String = NumberFormat.getInstance().run {
    minimumFractionDigits = decimals
    maximumFractionDigits = decimals
    format(value)
}

internal fun percent(probability: Float): String = number(probability.toDouble() * PERCENT, 1)

private fun millis(nanos: Long): String = number(nanos / 1e6, 2)

private const val SHOWN_LABELS = 5
internal const val SCORE_DECIMALS = 2
