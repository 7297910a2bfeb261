import org.jetbrains.kotlin.gradle.dsl.JvmTarget

plugins {
    alias(libs.plugins.android.library)
}

android {
    namespace = "dev.edgepack.runtime"
    compileSdk = libs.versions.compileSdk.get().toInt()

    defaultConfig {
        minSdk = libs.versions.minSdk.get().toInt()
        consumerProguardFiles("consumer-rules.pro")
    }

    compileOptions {
        sourceCompatibility = JavaVersion.VERSION_17
        targetCompatibility = JavaVersion.VERSION_17
    }

    testOptions.unitTests {
        isReturnDefaultValues = true // android.system.Os does nothing on a desktop JVM
        all { test ->
            val served = rootDir.resolve("model") // where the app fetches its model: what the server gets
            val packaged = if (served.isDirectory) served else rootDir.resolve("app/src/main/assets")
            test.systemProperty("edgepack.bundles", System.getProperty("edgepack.bundles") ?: packaged.path)
            test.systemProperty("edgepack.goldens", rootDir.resolve("core/src/test/resources/golden").path)
            test.environment("ORT_DISABLE_TELEMETRY", "1")
        }
    }
}

kotlin {
    compilerOptions {
        jvmTarget = JvmTarget.JVM_17
    }
}

dependencies {
    api(project(":core"))
    implementation(libs.onnxruntime.android)

    testImplementation(libs.onnxruntime.jvm)
    testImplementation(libs.kotlin.test.junit)
    testImplementation(libs.junit)
}
