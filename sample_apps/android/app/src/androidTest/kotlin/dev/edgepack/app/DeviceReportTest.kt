package dev.edgepack.app

import android.content.Context
import android.os.Build
import android.os.PowerManager
import androidx.test.platform.app.InstrumentationRegistry
import dev.edgepack.core.DeviceBenchmark
import dev.edgepack.core.DeviceFacts
import dev.edgepack.core.Thermal
import dev.edgepack.runtime.PackagedRuntime
import java.io.File
import kotlin.test.Test
import kotlin.test.assertEquals
import org.junit.Assume.assumeTrue

/**
 * Measures the app's model on the phone that it runs on and writes device-report.json, for `edgepack gate --device-report`.
 *
 * It runs where it is named alone, so that nothing has opened the model before: the project's README has the lines. Among all
 * tests of the app it is skipped.
 */
class DeviceReportTest {
    @Test
    fun thePhonesOwnFiguresAreWritten() {
        val named = InstrumentationRegistry.getArguments().getString("class").orEmpty()
        assumeTrue("run it by its name", named.substringBefore('#') == DeviceReportTest::class.java.name)
        val instrumentation = InstrumentationRegistry.getInstrumentation()
        val context = instrumentation.targetContext
        val files = ModelLoader(context).files {}
        val goldens = instrumentation.context.assets.open("golden.jsonl").use { it.readBytes().decodeToString() }
        val report = DeviceBenchmark(files.manifest, PackagedRuntime, PhoneFacts(context))
            .measure(files.tokenizer, files.model, goldens.lines().filter(String::isNotEmpty))
        val place = checkNotNull(context.getExternalFilesDir(null)) { "the phone has no storage for files of apps" }
        File(place, "device-report.json").writeText(report.toJson())
        assertEquals(report.goldens, report.goldensPassed, "goldens")
    }
}

private class PhoneFacts(private val context: Context) : DeviceFacts {
    override val device = "${Build.MANUFACTURER} ${Build.MODEL}"
    override val os = "Android ${Build.VERSION.RELEASE}"
    override val app: String
        get() = "${context.packageName} ${context.packageManager.getPackageInfo(context.packageName, 0).versionName}"

    override fun thermal(): Thermal {
        if (Build.VERSION.SDK_INT < Build.VERSION_CODES.Q) return Thermal.UNKNOWN
        return when (context.getSystemService(PowerManager::class.java).currentThermalStatus) {
            PowerManager.THERMAL_STATUS_NONE -> Thermal.NOMINAL
            PowerManager.THERMAL_STATUS_LIGHT, PowerManager.THERMAL_STATUS_MODERATE -> Thermal.FAIR
            PowerManager.THERMAL_STATUS_SEVERE -> Thermal.SERIOUS
            else -> Thermal.CRITICAL
        }
    }
}
