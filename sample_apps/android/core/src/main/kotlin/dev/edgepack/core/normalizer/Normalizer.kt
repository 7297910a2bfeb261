package dev.edgepack.core.normalizer

/** A step of a normalizer, out of the asset's own tables. Not for two threads at once. */
internal interface Step {
    /** The most code points that one becomes. */
    val growth: Int

    /**
     * The letters after this step: [letters] themselves, perhaps with other code points, where they stand for the same
     * as before, or [spare], which is filled. The stretch that they are of begins at [start].
     */
    fun apply(letters: Letters, spare: Letters, start: Int): Letters
}

/** What a tokenizer does to a text before it splits it; keeps where each letter came from. */
internal class Normalizer(private val steps: List<Step>) {
    private var current = Letters()
    private var spare = Letters()

    val isEmpty: Boolean get() = steps.isEmpty()

    /** `text[from, to)` after all steps; good until the next call. */
    fun normalized(text: Letters, from: Int, to: Int): Letters {
        current.clear()
        current.add(text, from, to)
        for (step in steps) {
            val result = step.apply(current, spare, text.starts[from])
            if (result !== current) {
                spare = current
                current = result
            }
        }
        return current
    }
}
