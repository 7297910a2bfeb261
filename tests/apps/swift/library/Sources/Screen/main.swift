// The app's ScreenModel and what is behind it, without its views: types a text, then another while the model runs, and prints
// what is announced of that, and its answer. The bundle is in the folder `assets` beside this program, as in an app.
import EdgepackCore
import Foundation
import Runtime

func linkedRuntimes() -> [ModelRuntime] { [MyRuntime()] }

let screen = ScreenModel()
var announced = [String]()
screen.announce = { announced.append($0) }
await screen.load()
screen.text = "first"
try await Task.sleep(for: .milliseconds(250))
screen.text = CommandLine.arguments[1]
while screen.answer == nil && screen.problem == nil { try await Task.sleep(for: .milliseconds(20)) }
while announced.isEmpty { try await Task.sleep(for: .milliseconds(20)) }
guard case .labels(let labels) = screen.answer?.content else { fatalError(screen.problem ?? "no labels") }
print(announced.count == 1 ? "announced once:" : "announced \(announced.count) times:", announced[0])
print(labels[0].label, labels[0].probability)
