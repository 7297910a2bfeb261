// What an app imports; see CoreAIRuntime.swift.
@_exported import CoreAIDelegates
@_exported import CoreAIRuntime
