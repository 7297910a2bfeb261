@file:Suppress("unused", "UNUSED_PARAMETER")

package androidx.compose.ui.graphics

@JvmInline
value class Color(val value: ULong) {
    companion object {
        val Unspecified: Color get() = TODO()
        fun hsl(hue: Float, saturation: Float, lightness: Float, alpha: Float = 1f): Color = TODO()
    }
}

fun Color(color: Long): Color = TODO()
