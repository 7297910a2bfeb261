package dev.edgepack.app

import android.os.Bundle
import androidx.activity.ComponentActivity
import androidx.activity.compose.setContent
import androidx.activity.enableEdgeToEdge
import androidx.activity.viewModels
import androidx.compose.runtime.getValue
import androidx.lifecycle.compose.collectAsStateWithLifecycle
import dev.edgepack.app.ui.ClassifierScreen
import dev.edgepack.app.ui.EdgepackTheme

/** The one screen. */
class MainActivity : ComponentActivity() {
    private val viewModel: ClassifierViewModel by viewModels()

    override fun onCreate(savedInstanceState: Bundle?) {
        super.onCreate(savedInstanceState)
        enableEdgeToEdge()
        setContent {
            val model by viewModel.model.collectAsStateWithLifecycle()
            val output by viewModel.output.collectAsStateWithLifecycle()
            val settled by viewModel.settled.collectAsStateWithLifecycle()
            EdgepackTheme { ClassifierScreen(model, viewModel.input, output, settled, viewModel::type, viewModel::load) }
        }
    }
}
