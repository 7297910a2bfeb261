import org.jetbrains.kotlin.gradle.dsl.JvmTarget

plugins {
    alias(libs.plugins.kotlin.jvm)
}

java {
    sourceCompatibility = JavaVersion.VERSION_17
    targetCompatibility = JavaVersion.VERSION_17
}

kotlin {
    compilerOptions {
        jvmTarget = JvmTarget.JVM_17
    }
}

dependencies {
    testImplementation(libs.kotlin.test.junit)
    testImplementation(libs.junit)
}

tasks.test {
    // Folders with tokenizer.bin and *.jsonl instead of the packaged goldens: gradle :core:test -Dedgepack.goldens=…
    System.getProperty("edgepack.goldens")?.let { systemProperty("edgepack.goldens", it) }
    testLogging.showStandardStreams = true
}
