// Tokenizes a file of texts, a line each, once for every line on standard input: another program can take turns.
//
// Arguments: tokenizer.bin, the texts, the maximum length. Compiled with EdgepackCore's own files, as main.swift. Prints
// the milliseconds to load the tokenizer, then for each round its nanoseconds, how many tokens there were and the sum of
// their ids, as TokenizerBenchmark.kt does.

import Foundation

/// A line that is not held back in a buffer.
func say(_ line: String) { FileHandle.standardOutput.write(Data("\(line)\n".utf8)) }

let arguments = CommandLine.arguments
let clock = ContinuousClock()
var tokenizer: Tokenizer!
let loading = try clock.measure {
    tokenizer = try Tokenizer(Data(contentsOf: URL(fileURLWithPath: arguments[1])))
}
say("\(Double(loading.components.attoseconds) / 1e15 + Double(loading.components.seconds) * 1e3)")
let texts = try String(contentsOfFile: arguments[2], encoding: .utf8).split(separator: "\n").map(String.init)
let maxLength = Int(arguments[3])!
while readLine() != nil {
    var tokens = 0
    var sum = 0
    let round = clock.measure {
        for text in texts {
            let encoding = tokenizer.encode(text, maxLength: maxLength)
            tokens += encoding.inputIDs.count
            sum += encoding.inputIDs.reduce(0, +)
        }
    }
    say("\(round.components.seconds * 1_000_000_000 + round.components.attoseconds / 1_000_000_000) \(tokens) \(sum)")
}
