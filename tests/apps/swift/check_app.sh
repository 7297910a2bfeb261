#!/usr/bin/env bash
# Compiles sample_apps/ios/Sample against the real EdgepackCore and the stubs beside this file, and benchmark.swift;
# writes into SCRATCH.
#
#   tests/apps/swift/check_app.sh SCRATCH [SAMPLE_APP]
#
# Needs swiftc 6, on any platform. It shows that the app's own files agree with each other, with EdgepackCore and with the
# surface that the stubs declare; not that Apple's frameworks and ONNX Runtime have that surface. Any diagnostic fails, and
# so does an expression that takes the compiler more than five seconds to give a type. SCRATCH/sample.s then has the symbols
# that the app calls.
set -euo pipefail
mkdir -p "$1"
scratch=$(cd "$1" && pwd)
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
app=$(cd "${2:-$here/../../../sample_apps/ios}" && pwd)
compile() {
  swiftc -swift-version 6 -warnings-as-errors -Xfrontend -warn-long-expression-type-checking=5000 -wmo -I "$scratch" "$@"
}
module() { compile -parse-as-library -emit-module -module-name "$1" -emit-module-path "$scratch/$1.swiftmodule" "${@:2}"; }
core=("$app"/EdgepackCore/Sources/EdgepackCore/*.swift "$app"/EdgepackCore/Sources/EdgepackCore/*/*.swift)
module EdgepackCore "${core[@]}"
for stub in Accessibility CoreAIRuntime CoreAIDelegates CoreAI CoreML OnnxRuntimeBindings SwiftUI; do module "$stub" "$here/stubs/$stub.swift"; done
compile -parse-as-library -emit-assembly -o "$scratch/sample.s" -module-name Sample "$app"/Sample/*.swift "$app"/Sample/*/*.swift
# The test target, against the app and a stub of Apple's XCTest: Linux's has no metrics
compile -parse-as-library -enable-testing -emit-module -module-name Sample -emit-module-path "$scratch/Sample.swiftmodule" \
  "$app"/Sample/*.swift "$app"/Sample/*/*.swift
module XCTest "$here/stubs/XCTest.swift"
compile -parse-as-library -typecheck -module-name SampleTests "$app"/SampleTests/*.swift
cp "$here/benchmark.swift" "$scratch/main.swift"
compile -typecheck -module-name EdgepackCore "${core[@]}" "$scratch/main.swift"
