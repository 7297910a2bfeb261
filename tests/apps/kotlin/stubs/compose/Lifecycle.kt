@file:Suppress("unused", "UNUSED_PARAMETER")

package androidx.lifecycle

import android.app.Application
import kotlinx.coroutines.CoroutineScope

abstract class ViewModel {
    protected open fun onCleared() {}
}

open class AndroidViewModel(private val application: Application) : ViewModel() {
    @Suppress("UNCHECKED_CAST")
    open fun <T : Application> getApplication(): T = application as T
}

/** Keeps what it is given, as the real one does in memory; what a bundle cannot hold is not refused. */
class SavedStateHandle {
    private val values = mutableMapOf<String, Any?>()

    @Suppress("UNCHECKED_CAST")
    operator fun <T> get(key: String): T? = values[key] as T?

    operator fun <T> set(key: String, value: T?) {
        values[key] = value
    }
}

val ViewModel.viewModelScope: CoroutineScope get() = TODO()
