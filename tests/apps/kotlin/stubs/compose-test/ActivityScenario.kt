@file:Suppress("unused", "UNUSED_PARAMETER")

package androidx.test.ext.junit.rules

import android.app.Activity
import org.junit.rules.TestRule
import org.junit.runner.Description
import org.junit.runners.model.Statement

class ActivityScenario<A : Activity> private constructor() {
    fun recreate(): ActivityScenario<A> = TODO()
}

class ActivityScenarioRule<A : Activity> private constructor() : TestRule {
    val scenario: ActivityScenario<A> get() = TODO()

    override fun apply(base: Statement, description: Description): Statement = TODO()
}
