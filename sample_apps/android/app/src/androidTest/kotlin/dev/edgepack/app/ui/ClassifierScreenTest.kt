package dev.edgepack.app.ui

import androidx.compose.ui.semantics.LiveRegionMode
import androidx.compose.ui.semantics.SemanticsProperties
import androidx.compose.ui.test.SemanticsMatcher
import androidx.compose.ui.test.assert
import androidx.compose.ui.test.assertIsNotEnabled
import androidx.compose.ui.test.hasContentDescription
import androidx.compose.ui.test.junit4.v2.createComposeRule
import androidx.compose.ui.test.onNodeWithContentDescription
import androidx.compose.ui.test.onNodeWithText
import androidx.compose.ui.test.performClick
import androidx.compose.ui.test.performTextInput
import androidx.test.platform.app.InstrumentationRegistry
import dev.edgepack.app.Input
import dev.edgepack.app.ModelState
import dev.edgepack.app.Output
import dev.edgepack.app.R
import dev.edgepack.core.BundleManifest
import dev.edgepack.core.Entity
import dev.edgepack.core.Prediction
import dev.edgepack.core.ScoredLabel
import kotlin.test.Test
import kotlin.test.assertEquals
import org.junit.Rule

/** The screen as people see and hear it, for each state that it can be in. No model runs. */
class ClassifierScreenTest {
    @get:Rule
    val compose = createComposeRule()

    private val typed = mutableListOf<Input>()
    private var tries = 0

    private fun show(model: ModelState = READY, input: Input = Input(), output: Output? = null, settled: Output? = null) =
        compose.setContent {
            ClassifierScreen(model, input, output, settled, onType = { typed += it }, onTryAgain = { tries++ })
        }

    private fun words(id: Int): String = InstrumentationRegistry.getInstrumentation().targetContext.getString(id)

    private fun sees(id: Int) = compose.onNodeWithText(words(id)).assertExists()

    private fun labels(isSure: Boolean): Output {
        val labels = listOf(ScoredLabel("very_good", 0.75f), ScoredLabel("bad", 0.25f))
        return Output(Input("fine"), Prediction(labels, emptyList(), 3, 0, 0, isSure = isSure), null)
    }

    @Test
    fun anEmptyFieldSaysWhatToDo() {
        show()
        sees(R.string.type_something)
        compose.onNodeWithText(words(R.string.labels_title)).assertDoesNotExist()
        compose.onNodeWithText(words(R.string.clear)).assertIsNotEnabled()
    }

    @Test
    fun whatIsTypedIsPassedOn() {
        show()
        compose.onNodeWithText(words(R.string.text_label)).performTextInput("fine")
        assertEquals("fine", typed.last().text)
    }

    @Test
    fun labelsAreReadWithTheirProbabilities() {
        show(input = Input("fine"), output = labels(isSure = true))
        sees(R.string.labels_title)
        compose.onNodeWithContentDescription("very good: ${number(75.0, 1)}", substring = true).assertExists()
        compose.onNodeWithContentDescription("bad: ${number(25.0, 1)}", substring = true).assertExists()
    }

    @Test
    fun aGuessIsCalledOne() {
        show(input = Input("fine"), output = labels(isSure = false))
        sees(R.string.not_sure_title)
        sees(R.string.best_guesses)
        compose.onNodeWithText(words(R.string.labels_title)).assertDoesNotExist()
    }

    @Test
    fun entitiesAreListedAndNotMarkedByColourAlone() {
        val entities = listOf(Entity("PER", 0, 3, 0.5f))
        val answer = Output(Input("Ada wrote"), Prediction(emptyList(), entities, 4, 0, 0), null)
        show(READY, answer.input, answer)
        sees(R.string.entities_title)
        compose.onNodeWithContentDescription("PER: Ada", substring = true).assertExists()
    }

    @Test
    fun aTextThatFailsSaysWhy() {
        show(input = Input("fine"), output = Output(Input("fine"), null, "the model does not run"))
        compose.onNodeWithText("the model does not run").assertExists()
    }

    @Test
    fun anAnswerIsAnnouncedOnceTypingHasPaused() {
        show(input = Input("fine"), output = labels(isSure = true), settled = labels(isSure = true))
        compose.onNode(isPolite).assert(hasContentDescription("very good: ${number(75.0, 1)}", substring = true))
    }

    @Test
    fun aModelThatCannotBeUsedSaysWhyAndCanBeTriedAgain() {
        show(ModelState.Failed("model.onnx is damaged"))
        sees(R.string.failed_title)
        compose.onNodeWithText("model.onnx is damaged").assertExists()
        compose.onNode(isPolite).assert(hasContentDescription("model.onnx is damaged", substring = true))
        compose.onNodeWithText(words(R.string.try_again)).performClick()
        assertEquals(1, tries)
    }

    @Test
    fun aDownloadSaysHowFarItIs() {
        show(ModelState.Preparing(0.47f))
        compose.onNodeWithText("47", substring = true).assertExists()
    }

    @Test
    fun aDownloadIsAnnouncedInTenths() {
        show(ModelState.Preparing(0.47f))
        compose.onNode(isPolite).assert(hasContentDescription("40", substring = true))
    }

    private companion object {
        val isPolite = SemanticsMatcher.expectValue(SemanticsProperties.LiveRegion, LiveRegionMode.Polite)
        val READY = ModelState.Ready(
            BundleManifest(
                task = BundleManifest.TEXT_CLASSIFICATION,
                pair = false,
                labels = listOf("bad", "very_good"),
                maxLength = 64,
                padId = 0,
                inputs = emptyList(),
                fixedLength = null,
                target = "android-onnx",
                runtime = "onnxruntime",
                runtimeMinVersion = "1.16",
                files = emptyList(),
                shippedBytes = 1_000_000,
                metrics = emptyMap(),
                teacher = "teacher",
            ),
            runtime = "ONNX Runtime",
            readyMillis = 1,
        )
    }
}
