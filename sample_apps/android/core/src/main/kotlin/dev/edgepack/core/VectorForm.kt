package dev.edgepack.core

import java.nio.ByteBuffer
import kotlin.math.abs
import kotlin.math.roundToInt

/**
 * How a vector is kept. What is left of it is its direction, which is what a cosine compares.
 *
 * @property id as `edgepack package --vectors` names it
 */
enum class VectorForm(val id: String) {
    /** 4 bytes for each number. */
    FLOAT32("float32") {
        override fun bytes(size: Int) = Float.SIZE_BYTES * size

        override fun pack(vector: FloatArray): ByteArray =
            ByteBuffer.allocate(bytes(vector.size)).also { vector.forEach(it::putFloat) }.array()

        override fun unpack(bytes: ByteArray, size: Int): FloatArray {
            val buffer = ByteBuffer.wrap(bytes)
            return FloatArray(size) { buffer.getFloat() }
        }
    },

    /** A byte for each number, as 127ths of the largest. */
    INT8("int8") {
        override fun bytes(size: Int) = size

        override fun pack(vector: FloatArray): ByteArray {
            val largest = vector.maxOf { abs(it) }
            return ByteArray(vector.size) { if (largest > 0) (vector[it] / largest * STEPS).roundToInt().toByte() else 0 }
        }

        override fun unpack(bytes: ByteArray, size: Int) = FloatArray(size) { bytes[it].toFloat() }
    },

    /** A bit for each number: its sign. */
    BINARY("binary") {
        override fun bytes(size: Int) = (size + Byte.SIZE_BITS - 1) / Byte.SIZE_BITS

        override fun pack(vector: FloatArray): ByteArray {
            val packed = ByteArray(bytes(vector.size))
            for (i in vector.indices) {
                val place = i / Byte.SIZE_BITS
                if (vector[i] >= 0) packed[place] = (packed[place].toInt() or bit(i)).toByte()
            }
            return packed
        }

        override fun unpack(bytes: ByteArray, size: Int) =
            FloatArray(size) { if (bytes[it / Byte.SIZE_BITS].toInt() and bit(it) != 0) 1f else -1f }

        private fun bit(place: Int) = 1 shl place % Byte.SIZE_BITS
    }, ;

    /** What a vector of [size] numbers takes. */
    abstract fun bytes(size: Int): Int

    /** A vector as it is kept. */
    abstract fun pack(vector: FloatArray): ByteArray

    /** What is left of a vector of [size] numbers. */
    abstract fun unpack(bytes: ByteArray, size: Int): FloatArray

    companion object {
        private const val STEPS = 127

        /** The one of this [id]; [BundleException] where there is none. */
        fun of(id: String): VectorForm = entries.find { it.id == id }
            ?: throw BundleException("vectors are kept as $id; allowed: ${entries.joinToString { it.id }}; package the app again")
    }
}
