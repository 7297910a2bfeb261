@file:Suppress("unused", "UNUSED_PARAMETER")

package androidx.compose.ui.text.font

class FontWeight(val weight: Int) {
    companion object {
        val Bold: FontWeight get() = TODO()
    }
}
