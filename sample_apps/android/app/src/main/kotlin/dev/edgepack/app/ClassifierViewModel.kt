package dev.edgepack.app

import android.app.Application
import android.os.SystemClock
import androidx.compose.runtime.getValue
import androidx.compose.runtime.mutableStateOf
import androidx.compose.runtime.setValue
import androidx.lifecycle.AndroidViewModel
import androidx.lifecycle.SavedStateHandle
import androidx.lifecycle.viewModelScope
import dev.edgepack.core.Entailment
import dev.edgepack.core.Prediction
import dev.edgepack.core.TextClassifier
import dev.edgepack.core.readList
import dev.edgepack.runtime.PackagedRuntime
import java.util.concurrent.Executors
import kotlinx.coroutines.Job
import kotlinx.coroutines.asCoroutineDispatcher
import kotlinx.coroutines.flow.MutableStateFlow
import kotlinx.coroutines.flow.StateFlow
import kotlinx.coroutines.flow.asStateFlow
import kotlinx.coroutines.launch
import kotlinx.coroutines.runInterruptible
import kotlinx.coroutines.withContext

/**
 * Holds the model over rotations, and what was typed over the end of the process too. All that touches the model runs on one
 * thread of its own, never on the main one.
 */
class ClassifierViewModel(application: Application, saved: SavedStateHandle) : AndroidViewModel(application) {
    private val worker = Executors.newSingleThreadExecutor { Thread(it, "model") }.asCoroutineDispatcher()
    private val modelState = MutableStateFlow<ModelState>(ModelState.Preparing(null))
    private val savedInput = SavedInput(saved)
    private val outputState = MutableStateFlow<Output?>(null)
    private val settledState = MutableStateFlow<Output?>(null)
    private var classifier: TextClassifier? = null // the worker's own
    private var loading: Job? = null

    val model: StateFlow<ModelState> = modelState.asStateFlow()

    /** What the user has typed. Compose's own state: a field whose text comes back through a flow, later, can lose letters. */
    var input: Input by mutableStateOf(savedInput.input)
        private set
    private val asked = MutableStateFlow(input)
    val output: StateFlow<Output?> = outputState.asStateFlow()

    /** The output once typing has paused, which a screen reader says. */
    val settled: StateFlow<Output?> = settledState.asStateFlow()

    init {
        load()
    }

    /** Loads the model; also what "Try again" does. */
    fun load() {
        if (loading?.isActive == true) return
        modelState.value = ModelState.Preparing(null)
        loading = viewModelScope.launch {
            val opened = runInterruptible(worker) { open() }
            if (opened is ModelState.Ready && input.list.isEmpty()) ask(input.copy(list = withContext(worker) { firstList() }))
            modelState.value = opened
            if (opened is ModelState.Ready) {
                answerLatest(asked, PAUSE_MILLIS, ::classify, { outputState.value = it }, { settledState.value = it })
            }
        }
    }

    /** What the user has typed; the latest is classified, earlier ones may be skipped. */
    fun type(input: Input) {
        ask(input)
        savedInput.input = input
    }

    private fun ask(input: Input) {
        this.input = input
        asked.value = input
    }

    private fun open(): ModelState {
        val start = SystemClock.elapsedRealtime()
        return orSay(PackagedRuntime.name, {
            val ready = ModelLoader(getApplication()).load { modelState.value = ModelState.Preparing(it) }
            classifier = ready
            ModelState.Ready(ready.manifest, PackagedRuntime.name, SystemClock.elapsedRealtime() - start)
        }, ModelState::Failed)
    }

    /** What is searched at first: the texts whose vectors are kept, or some examples. */
    private fun firstList(): String = classifier?.keptTexts.orEmpty().joinToString("\n")
        .ifEmpty { getApplication<Application>().getString(R.string.search_examples) }

    /** A later input interrupts it: many texts are not run to the end for an answer that nobody waits for. */
    private suspend fun classify(input: Input): Output? = runInterruptible(worker) {
        val ready = classifier
        if (ready == null || input.text.isBlank()) return@runInterruptible null
        orSay(PackagedRuntime.name, { Output(input, answer(ready, input), null) }, { Output(input, null, it) })
    }

    /** The prediction; null where labels of the user's own, or texts to rank, are wanted and are not enough. */
    private fun answer(ready: TextClassifier, input: Input): Prediction? {
        input.ranked(ready.manifest)?.let { return if (it.isEmpty()) null else ready.rank(input.text, it) }
        val judge = ready.entailment
        if (!input.own || judge == null) return ready.classify(input.text, input.pair)
        val (labels, several) = readList(input.labels) to (input.several && judge.judgesAlone)
        return if (judge.canJudge(labels.size, several)) ready.judge(input.text, labels, several) else null
    }

    override fun onCleared() {
        worker.executor.execute { classifier?.close() }
        worker.close()
    }

    private companion object {
        const val PAUSE_MILLIS = 900L // as on the web page: a screen reader is not interrupted at every key
    }
}
