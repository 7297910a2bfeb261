package dev.edgepack.app

import androidx.compose.ui.test.junit4.v2.createAndroidComposeRule
import androidx.compose.ui.test.onAllNodesWithText
import androidx.compose.ui.test.onNodeWithText
import androidx.compose.ui.test.performTextInput
import androidx.test.platform.app.InstrumentationRegistry
import kotlin.test.Test
import org.junit.Rule

/** The app with its own model, from the start to an answer that is still there when the activity is made again. */
class MainActivityTest {
    @get:Rule
    val compose = createAndroidComposeRule<MainActivity>()

    /** The first start copies the model out of the app and unpacks it. */
    private fun waitFor(text: String) =
        compose.waitUntil(READY_MILLIS) { compose.onAllNodesWithText(text).fetchSemanticsNodes().isNotEmpty() }

    private fun words(id: Int): String = InstrumentationRegistry.getInstrumentation().targetContext.getString(id)

    @Test
    fun whatWasTypedIsStillThereWhenTheActivityIsMadeAgain() {
        waitFor(words(R.string.text_label))
        compose.onNodeWithText(words(R.string.text_label)).performTextInput(TYPED)
        waitFor(TYPED)
        compose.activityRule.scenario.recreate()
        waitFor(TYPED)
    }

    private companion object {
        const val TYPED = "a gripping film"
        const val READY_MILLIS = 30_000L
    }
}
