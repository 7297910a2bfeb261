package dev.edgepack.app

import java.io.IOException

/**
 * What [run] gives; or what [failed] makes of the reason, in words for the screen, where files or [runtime] fail.
 *
 * A native library that is missing is an error of Java's, which ends an app, and not an exception. It may come up at any call:
 * some libraries link a part of theirs at the first text only. What else is thrown is a mistake in the app and ends it.
 */
internal inline fun <T> orSay(runtime: String, run: () -> T, failed: (String) -> T): T = try {
    run()
} catch (e: IOException) { // a BundleException explains itself; the rest is the device's: no space, no access
    failed(e.message ?: e.javaClass.simpleName)
} catch (e: LinkageError) { // also a class that does not initialize, since its library did not load before
    failed("$runtime has no native library for this device (${e.message})")
}
