@file:Suppress("unused", "UNUSED_PARAMETER")

package androidx.compose.ui.test.junit4.v2

import androidx.activity.ComponentActivity
import androidx.compose.ui.test.junit4.AndroidComposeTestRule
import androidx.compose.ui.test.junit4.ComposeContentTestRule
import androidx.test.ext.junit.rules.ActivityScenarioRule

fun createComposeRule(): ComposeContentTestRule = TODO()

inline fun <reified A : ComponentActivity> createAndroidComposeRule(): AndroidComposeTestRule<ActivityScenarioRule<A>, A> = TODO()
