package dev.edgepack.core

/**
 * A text or a pair as the model reads it, special tokens included; every array has [size] entries.
 *
 * @property ids the tokens
 * @property typeIds which text a token belongs to, for models with token types
 * @property starts UTF-16 indices into the token's own text; 0 for special tokens
 * @property ends UTF-16 indices; 0 for special tokens
 * @property words which word of its text a token belongs to, from 0: what stands between spaces, punctuation marks at
 *   its ends and ideographs by themselves; -1 for special tokens, and for trimmed spaces between words
 */
class Encoding(
    val ids: IntArray,
    val typeIds: IntArray,
    val starts: IntArray,
    val ends: IntArray,
    val words: IntArray,
) {
    val size: Int get() = ids.size
}
