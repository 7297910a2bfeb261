package dev.edgepack.core

import java.io.IOException

/** What is wrong with a bundle or its download, in one line that a person can act on. The app shows [message]. */
open class BundleException(override val message: String, cause: Throwable? = null) : IOException(message, cause)

/** A file is not the one that the manifest describes: cut short, altered or absent. */
class DamagedFileException(message: String, cause: Throwable? = null) : BundleException(message, cause)
