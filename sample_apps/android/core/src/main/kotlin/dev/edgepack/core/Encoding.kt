package dev.edgepack.core

/**
 * A text or a pair as the model reads it, special tokens included; every array has [size] entries.
 *
 * @property ids the tokens
 * @property typeIds which text a token belongs to, for models with token types
 * @property starts UTF-16 indices into the token's own text; 0 for special tokens
 * @property ends UTF-16 indices; 0 for special tokens
 * @property sequences which text a token is of: 0, 1, or -1 for a special token
 */
class Encoding(
    val ids: IntArray,
    val typeIds: IntArray,
    val starts: IntArray,
    val ends: IntArray,
    val sequences: IntArray,
) {
    val size: Int get() = ids.size
}
