@file:Suppress("unused", "UNUSED_PARAMETER")

package androidx.lifecycle.compose

import androidx.compose.runtime.Composable
import androidx.compose.runtime.State
import kotlin.coroutines.CoroutineContext
import kotlin.coroutines.EmptyCoroutineContext
import kotlinx.coroutines.flow.StateFlow

// The real one also takes a LifecycleOwner and a Lifecycle.State, which have values where nothing is given
@Composable
fun <T> StateFlow<T>.collectAsStateWithLifecycle(context: CoroutineContext = EmptyCoroutineContext): State<T> = TODO()
