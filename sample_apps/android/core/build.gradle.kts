import org.jetbrains.kotlin.gradle.dsl.JvmTarget

plugins {
    alias(libs.plugins.kotlin.jvm)
    `maven-publish`
}

group = "dev.edgepack"
version = "0.1.0"

java {
    withSourcesJar()
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

// A library for other projects: gradle :core:publishToMavenLocal, then implementation("dev.edgepack:core:0.1.0")
publishing {
    publications {
        create<MavenPublication>("core") {
            from(components["java"])
            pom {
                name = "edgepack core"
                description = "Texts in, answers out, for bundles of edgepack: tokenizer, manifest, decisions"
                licenses {
                    license {
                        name = "Apache-2.0"
                        url = "https://www.apache.org/licenses/LICENSE-2.0.txt"
                    }
                }
            }
        }
    }
}

tasks.test {
    // Folders with tokenizer.bin and *.jsonl instead of the packaged goldens: gradle :core:test -Dedgepack.goldens=…
    System.getProperty("edgepack.goldens")?.let { systemProperty("edgepack.goldens", it) }
    testLogging.showStandardStreams = true
}
