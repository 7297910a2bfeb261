@file:Suppress("unused", "UNUSED_PARAMETER")

package androidx.activity

import android.app.Activity
import androidx.lifecycle.ViewModel

open class ComponentActivity : Activity()

inline fun <reified VM : ViewModel> ComponentActivity.viewModels(): Lazy<VM> = TODO()

fun ComponentActivity.enableEdgeToEdge(): Unit = TODO()
