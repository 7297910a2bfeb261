// What a runtime module says of its version, and of the bundle whose manifest is in the file named: "fits", or why not.
package dev.edgepack.checks

import dev.edgepack.core.BundleException
import dev.edgepack.core.BundleManifest
import dev.edgepack.core.requireFor
import dev.edgepack.runtime.PackagedRuntime
import java.io.File

object RuntimeVersion {
    @JvmStatic
    fun main(arguments: Array<String>) {
        println(PackagedRuntime.version)
        try {
            PackagedRuntime.requireFor(BundleManifest.parse(File(arguments[0]).readText()))
            println("fits")
        } catch (e: BundleException) {
            println(e.message)
        }
    }
}
