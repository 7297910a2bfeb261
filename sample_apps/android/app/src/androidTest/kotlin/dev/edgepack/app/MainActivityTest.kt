package dev.edgepack.app

import androidx.compose.ui.test.SemanticsMatcher
import androidx.compose.ui.test.hasSetTextAction
import androidx.compose.ui.test.hasText
import androidx.compose.ui.test.junit4.v2.createAndroidComposeRule
import androidx.compose.ui.test.onFirst
import androidx.compose.ui.test.performTextInput
import kotlin.test.Test
import org.junit.Rule

/** The app with its own model, from the start to an answer that is still there when the activity is made again. */
class MainActivityTest {
    @get:Rule
    val compose = createAndroidComposeRule<MainActivity>()

    /** The first start copies the model out of the app and unpacks it. */
    private fun waitFor(wanted: SemanticsMatcher) =
        compose.waitUntil(READY_MILLIS) { compose.onAllNodes(wanted).fetchSemanticsNodes().isNotEmpty() }

    @Test
    fun whatWasTypedIsStillThereWhenTheActivityIsMadeAgain() {
        waitFor(hasSetTextAction()) // the first field is the text's, whatever the model does with it
        compose.onAllNodes(hasSetTextAction()).onFirst().performTextInput(TYPED)
        waitFor(hasText(TYPED))
        compose.activityRule.scenario.recreate()
        waitFor(hasText(TYPED))
    }

    private companion object {
        const val TYPED = "a gripping film"
        const val READY_MILLIS = 30_000L
    }
}
