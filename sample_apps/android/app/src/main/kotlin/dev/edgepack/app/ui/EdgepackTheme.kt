package dev.edgepack.app.ui

import androidx.compose.foundation.isSystemInDarkTheme
import androidx.compose.material3.MaterialTheme
import androidx.compose.material3.darkColorScheme
import androidx.compose.material3.lightColorScheme
import androidx.compose.runtime.Composable
import androidx.compose.ui.graphics.Color

private val Light = lightColorScheme(
    primary = Color(0xFF1F4E5F),
    onPrimary = Color(0xFFFFFFFF),
    primaryContainer = Color(0xFFC9E6F0),
    onPrimaryContainer = Color(0xFF06212B),
)

private val Dark = darkColorScheme(
    primary = Color(0xFF9CCFE0),
    onPrimary = Color(0xFF063542),
    primaryContainer = Color(0xFF1F4E5F),
    onPrimaryContainer = Color(0xFFDDF2F9),
)

/** Light or dark, as the device is. */
@Composable
fun EdgepackTheme(content: @Composable () -> Unit) {
    MaterialTheme(colorScheme = if (isSystemInDarkTheme()) Dark else Light, content = content)
}
