@file:Suppress("unused", "UNUSED_PARAMETER")

package androidx.compose.ui.semantics

import androidx.compose.ui.Modifier

interface SemanticsPropertyReceiver

class SemanticsPropertyKey<T> private constructor()

object SemanticsProperties {
    val LiveRegion: SemanticsPropertyKey<LiveRegionMode> get() = TODO()
}

@JvmInline
value class LiveRegionMode private constructor(private val value: Int) {
    companion object {
        val Polite: LiveRegionMode get() = TODO()
        val Assertive: LiveRegionMode get() = TODO()
    }
}

var SemanticsPropertyReceiver.contentDescription: String
    get() = TODO()
    set(value) = TODO()

var SemanticsPropertyReceiver.liveRegion: LiveRegionMode
    get() = TODO()
    set(value) = TODO()

fun SemanticsPropertyReceiver.heading(): Unit = TODO()

fun Modifier.semantics(mergeDescendants: Boolean = false, properties: SemanticsPropertyReceiver.() -> Unit): Modifier = TODO()

fun Modifier.clearAndSetSemantics(properties: SemanticsPropertyReceiver.() -> Unit): Modifier = TODO()

@JvmInline
value class Role private constructor(private val value: Int) {
    companion object {
        val Checkbox: Role get() = TODO()
    }
}
