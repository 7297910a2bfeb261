@file:Suppress("unused", "UNUSED_PARAMETER")

package androidx.compose.ui.text.style

class TextDecoration internal constructor(val mask: Int) {
    companion object {
        val Underline: TextDecoration get() = TODO()
    }
}

@JvmInline
value class TextAlign internal constructor(val value: Int) {
    companion object {
        val End: TextAlign get() = TODO()
    }
}
