pluginManagement {
    repositories {
        google()
        mavenCentral()
        gradlePluginPortal()
    }
}

dependencyResolutionManagement {
    repositoriesMode = RepositoriesMode.FAIL_ON_PROJECT_REPOS
    repositories {
        google()
        mavenCentral()
    }
}

rootProject.name = "edgepack-sample"

include(":app", ":core")

// One runtime goes into the app: two native libraries of 15 MB each would help nobody.
include(":runtime-${providers.gradleProperty("edgepack.runtime").get()}")
