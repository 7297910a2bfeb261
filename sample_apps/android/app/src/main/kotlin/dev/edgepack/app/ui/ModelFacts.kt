package dev.edgepack.app.ui

import androidx.compose.foundation.layout.Arrangement
import androidx.compose.foundation.layout.Column
import androidx.compose.foundation.layout.Row
import androidx.compose.foundation.layout.fillMaxWidth
import androidx.compose.foundation.layout.padding
import androidx.compose.material3.Card
import androidx.compose.material3.Text
import androidx.compose.runtime.Composable
import androidx.compose.ui.Modifier
import androidx.compose.ui.res.stringResource
import androidx.compose.ui.semantics.semantics
import androidx.compose.ui.text.style.TextAlign
import androidx.compose.ui.unit.dp
import dev.edgepack.app.ModelState
import dev.edgepack.app.R

/** What the bundle's manifest says of the model, and how long it took to be ready. */
@Composable
fun ModelFacts(model: ModelState.Ready) {
    val manifest = model.manifest
    val metric = manifest.metrics["artifact"]
    Card(modifier = Modifier.fillMaxWidth()) {
        Column(modifier = Modifier.padding(16.dp), verticalArrangement = Arrangement.spacedBy(8.dp)) {
            Heading(stringResource(R.string.facts_title))
            Fact(stringResource(R.string.fact_teacher), manifest.teacher)
            Fact(stringResource(R.string.fact_runtime), model.runtime)
            val megabytes = number(manifest.shippedBytes / 1e6, 2)
            Fact(stringResource(R.string.fact_size), stringResource(R.string.megabytes, megabytes))
            val size = manifest.vectorSize
            when {
                size != null -> Fact(stringResource(R.string.fact_vector), size.toString())
                manifest.activation != null -> Fact(stringResource(R.string.fact_score), shown(manifest.labels.first()))
                else -> Fact(stringResource(R.string.fact_labels), manifest.labels.size.toString())
            }
            Fact(stringResource(R.string.fact_length), manifest.maxLength.toString())
            if (metric != null) {
                Fact(stringResource(R.string.fact_metric, shown(metric.name), metric.n), number(metric.value, 4))
            }
            Fact(stringResource(R.string.fact_load), stringResource(R.string.milliseconds, model.readyMillis))
        }
    }
}

/** A name and a value, read together. */
@Composable
private fun Fact(name: String, value: String) {
    Row(
        modifier = Modifier.fillMaxWidth().semantics(mergeDescendants = true) {},
        horizontalArrangement = Arrangement.spacedBy(16.dp),
    ) {
        Text(name, modifier = Modifier.weight(1f))
        Text(value, modifier = Modifier.weight(1f), textAlign = TextAlign.End)
    }
}
