package dev.edgepack.app.ui

import androidx.compose.foundation.isSystemInDarkTheme
import androidx.compose.material3.MaterialTheme
import androidx.compose.material3.Text
import androidx.compose.runtime.Composable
import androidx.compose.ui.Modifier
import androidx.compose.ui.graphics.Color
import androidx.compose.ui.res.stringResource
import androidx.compose.ui.semantics.contentDescription
import androidx.compose.ui.semantics.semantics
import androidx.compose.ui.text.AnnotatedString
import androidx.compose.ui.text.SpanStyle
import androidx.compose.ui.text.buildAnnotatedString
import androidx.compose.ui.text.style.TextDecoration
import dev.edgepack.app.R
import dev.edgepack.core.Entity

/** The text with its entities marked, and a line for each: colour alone says nothing to many people. */
@Composable
fun Entities(text: String, entities: List<Entity>) {
    if (entities.isEmpty()) {
        Text(stringResource(R.string.no_entities))
        return
    }
    Text(marked(text, entities, isSystemInDarkTheme()), style = MaterialTheme.typography.bodyLarge)
    for (entity in entities) {
        val words = text.substring(entity.start, entity.end)
        val percent = number(entity.probability.toDouble() * PERCENT, 1)
        val description = stringResource(R.string.entity_description, shown(entity.type), words, percent)
        Text(description, modifier = Modifier.semantics { contentDescription = description })
    }
}

private fun marked(text: String, entities: List<Entity>, dark: Boolean): AnnotatedString = buildAnnotatedString {
    append(text)
    for (entity in entities) {
        val style = SpanStyle(background = colour(entity.type, dark), textDecoration = TextDecoration.Underline)
        addStyle(style, entity.start, entity.end)
    }
}

/** The same colour for the same type, pale behind dark letters and deep behind light ones. */
private fun colour(type: String, dark: Boolean): Color {
    val hue = (type.hashCode() and 0xFFFF) % FULL_CIRCLE
    return if (dark) Color.hsl(hue.toFloat(), 0.5f, 0.25f) else Color.hsl(hue.toFloat(), 0.7f, 0.85f)
}

private const val FULL_CIRCLE = 360
