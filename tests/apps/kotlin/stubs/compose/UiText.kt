@file:Suppress("unused", "UNUSED_PARAMETER")

package androidx.compose.ui.text

import androidx.compose.ui.graphics.Color
import androidx.compose.ui.text.font.FontWeight
import androidx.compose.ui.text.style.TextDecoration

class AnnotatedString(val text: String) : CharSequence by text {
    class Builder(capacity: Int = 16) {
        fun append(text: String): Unit = TODO()
        fun addStyle(style: SpanStyle, start: Int, end: Int): Unit = TODO()
    }
}

inline fun buildAnnotatedString(builder: AnnotatedString.Builder.() -> Unit): AnnotatedString = TODO()

class SpanStyle(
    val color: Color = Color.Unspecified,
    val fontWeight: FontWeight? = null,
    val background: Color = Color.Unspecified,
    val textDecoration: TextDecoration? = null,
)

class TextStyle
