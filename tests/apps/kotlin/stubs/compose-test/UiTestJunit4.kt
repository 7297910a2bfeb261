@file:Suppress("unused", "UNUSED_PARAMETER")

package androidx.compose.ui.test.junit4

import androidx.activity.ComponentActivity
import androidx.compose.runtime.Composable
import androidx.compose.ui.test.SemanticsNodeInteractionsProvider
import org.junit.rules.TestRule

interface ComposeTestRule :
    TestRule,
    SemanticsNodeInteractionsProvider {
    fun waitUntil(timeoutMillis: Long = 1_000, condition: () -> Boolean)
}

interface ComposeContentTestRule : ComposeTestRule {
    fun setContent(composable: @Composable () -> Unit)
}

abstract class AndroidComposeTestRule<R : TestRule, A : ComponentActivity>(val activityRule: R) : ComposeContentTestRule
