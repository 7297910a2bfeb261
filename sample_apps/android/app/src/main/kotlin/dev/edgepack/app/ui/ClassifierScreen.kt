package dev.edgepack.app.ui

import androidx.compose.foundation.layout.Arrangement
import androidx.compose.foundation.layout.Column
import androidx.compose.foundation.layout.Row
import androidx.compose.foundation.layout.fillMaxSize
import androidx.compose.foundation.layout.fillMaxWidth
import androidx.compose.foundation.layout.padding
import androidx.compose.foundation.layout.safeDrawingPadding
import androidx.compose.foundation.rememberScrollState
import androidx.compose.foundation.selection.toggleable
import androidx.compose.foundation.verticalScroll
import androidx.compose.material3.Button
import androidx.compose.material3.Checkbox
import androidx.compose.material3.LinearProgressIndicator
import androidx.compose.material3.MaterialTheme
import androidx.compose.material3.OutlinedTextField
import androidx.compose.material3.Surface
import androidx.compose.material3.Text
import androidx.compose.material3.TextButton
import androidx.compose.runtime.Composable
import androidx.compose.ui.Alignment
import androidx.compose.ui.Modifier
import androidx.compose.ui.res.stringResource
import androidx.compose.ui.semantics.Role
import androidx.compose.ui.semantics.heading
import androidx.compose.ui.semantics.semantics
import androidx.compose.ui.unit.dp
import dev.edgepack.app.Input
import dev.edgepack.app.ModelState
import dev.edgepack.app.Output
import dev.edgepack.app.R
import dev.edgepack.core.BundleManifest
import dev.edgepack.core.Entailment

/** Text in, labels, entities or an order out, what the model is. Scrolls, so that large fonts and small screens lose nothing. */
@Composable
fun ClassifierScreen(
    model: ModelState,
    input: Input,
    output: Output?,
    settled: Output?,
    onType: (Input) -> Unit,
    onTryAgain: () -> Unit,
) {
    Surface(modifier = Modifier.fillMaxSize()) {
        Column(
            modifier = Modifier.safeDrawingPadding().verticalScroll(rememberScrollState()).padding(16.dp),
            verticalArrangement = Arrangement.spacedBy(16.dp),
        ) {
            Heading(stringResource(R.string.app_name))
            Announced(announcement(model, settled))
            when (model) {
                is ModelState.Preparing -> Preparing(model)
                is ModelState.Failed -> Failed(model, onTryAgain)
                is ModelState.Ready -> {
                    TextFields(model.manifest, input, onType)
                    Answer(model.manifest, input, output)
                    ModelFacts(model)
                }
            }
        }
    }
}

/** A title that a screen reader can jump to. */
@Composable
fun Heading(text: String) {
    Text(text, modifier = Modifier.semantics { heading() }, style = MaterialTheme.typography.headlineSmall)
}

@Composable
private fun Preparing(state: ModelState.Preparing) {
    val share = state.downloaded
    Text(preparing(share, step = 1))
    if (share == null) {
        LinearProgressIndicator(modifier = Modifier.fillMaxWidth())
    } else {
        LinearProgressIndicator(progress = { share }, modifier = Modifier.fillMaxWidth())
    }
}

@Composable
private fun Failed(state: ModelState.Failed, onTryAgain: () -> Unit) {
    Column(modifier = Modifier.semantics(mergeDescendants = true) {}) {
        Text(
            stringResource(R.string.failed_title),
            color = MaterialTheme.colorScheme.error,
            style = MaterialTheme.typography.titleMedium,
        )
        Text(state.message)
    }
    Button(onClick = onTryAgain) { Text(stringResource(R.string.try_again)) }
}

@Composable
private fun TextFields(manifest: BundleManifest, input: Input, onType: (Input) -> Unit) {
    val entailment = Entailment.of(manifest)
    val ranks = input.ranked(manifest) != null
    val label = if (ranks) stringResource(R.string.query_label) else stringResource(R.string.text_label)
    Field(label, input.text) { onType(input.copy(text = it)) }
    if (manifest.pair && !ranks && !(input.own && entailment != null)) {
        Field(stringResource(R.string.pair_label), input.pair) { onType(input.copy(pair = it)) }
    }
    if (entailment != null) OwnLabels(entailment, input, onType)
    if (manifest.ranksTexts && manifest.vectorSize == null) {
        Choice(stringResource(R.string.rank_texts), input.rank) { onType(input.copy(rank = it)) }
    }
    if (ranks) Field(stringResource(R.string.list_label), input.list) { onType(input.copy(list = it)) }
    TextButton(onClick = { onType(input.cleared) }, enabled = input != input.cleared) { Text(stringResource(R.string.clear)) }
}

/** A field for a text, or for several, one on a line. */
@Composable
private fun Field(label: String, text: String, onType: (String) -> Unit) {
    OutlinedTextField(
        value = text,
        onValueChange = onType,
        modifier = Modifier.fillMaxWidth(),
        label = { Text(label) },
        minLines = MIN_LINES,
    )
}

/** Labels of the user's own, for a model that judges entailment. */
@Composable
private fun OwnLabels(entailment: Entailment, input: Input, onType: (Input) -> Unit) {
    Choice(stringResource(R.string.own_labels), input.own) { onType(input.copy(own = it)) }
    if (!input.own) return
    Field(stringResource(R.string.own_labels_label), input.labels) { onType(input.copy(labels = it)) }
    if (entailment.judgesAlone) {
        Choice(stringResource(R.string.several_true), input.several) { onType(input.copy(several = it)) }
    }
}

/** A box to tick; its words are part of it, for fingers and for screen readers. */
@Composable
private fun Choice(text: String, chosen: Boolean, onChoose: (Boolean) -> Unit) {
    Row(
        modifier = Modifier.fillMaxWidth().toggleable(value = chosen, role = Role.Checkbox, onValueChange = onChoose),
        horizontalArrangement = Arrangement.spacedBy(8.dp),
        verticalAlignment = Alignment.CenterVertically,
    ) {
        Checkbox(checked = chosen, onCheckedChange = null, modifier = Modifier.padding(12.dp))
        Text(text, modifier = Modifier.weight(1f))
    }
}

private const val MIN_LINES = 2
internal const val PERCENT = 100
