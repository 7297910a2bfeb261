@file:Suppress("unused", "UNUSED_PARAMETER")

package androidx.compose.ui.test

import androidx.compose.ui.semantics.SemanticsPropertyKey

interface SemanticsNodeInteractionsProvider {
    fun onNode(matcher: SemanticsMatcher, useUnmergedTree: Boolean = false): SemanticsNodeInteraction

    fun onAllNodes(matcher: SemanticsMatcher, useUnmergedTree: Boolean = false): SemanticsNodeInteractionCollection
}

class SemanticsNode private constructor()

class SemanticsNodeInteractionCollection private constructor() {
    fun fetchSemanticsNodes(atLeastOneRootRequired: Boolean = true, errorMessageOnFail: String? = null): List<SemanticsNode> = TODO()
}

fun SemanticsNodeInteractionCollection.onFirst(): SemanticsNodeInteraction = TODO()

fun hasSetTextAction(): SemanticsMatcher = TODO()

fun hasText(text: String, substring: Boolean = false, ignoreCase: Boolean = false): SemanticsMatcher = TODO()

class SemanticsMatcher private constructor() {
    companion object {
        fun <T> expectValue(key: SemanticsPropertyKey<T>, expectedValue: T): SemanticsMatcher = TODO()
    }
}

class SemanticsNodeInteraction private constructor() {
    fun assertExists(errorMessageOnFail: String? = null): SemanticsNodeInteraction = TODO()

    fun assertDoesNotExist(): Unit = TODO()
}

fun SemanticsNodeInteractionsProvider.onNodeWithText(
    text: String,
    substring: Boolean = false,
    ignoreCase: Boolean = false,
    useUnmergedTree: Boolean = false,
): SemanticsNodeInteraction = TODO()

fun SemanticsNodeInteractionsProvider.onNodeWithContentDescription(
    label: String,
    substring: Boolean = false,
    ignoreCase: Boolean = false,
    useUnmergedTree: Boolean = false,
): SemanticsNodeInteraction = TODO()

fun SemanticsNodeInteraction.assert(
    matcher: SemanticsMatcher,
    messagePrefixOnError: (() -> String)? = null,
): SemanticsNodeInteraction = TODO()

fun SemanticsNodeInteraction.assertIsNotEnabled(): SemanticsNodeInteraction = TODO()

fun SemanticsNodeInteraction.performClick(): SemanticsNodeInteraction = TODO()

fun SemanticsNodeInteraction.performTextInput(text: String): Unit = TODO()

fun hasContentDescription(value: String, substring: Boolean = false, ignoreCase: Boolean = false): SemanticsMatcher = TODO()
