#!/usr/bin/env bash
# Type-checks sample_apps/ios/Sample against the real EdgepackCore and the stubs beside this file; writes into SCRATCH.
#
#   tests/apps/swift/check_app.sh SCRATCH [SAMPLE_APP]
#
# Needs swiftc, on any platform. It shows that the app's own files agree with each other, with EdgepackCore and with the
# surface that the stubs declare; not that Apple's frameworks and ONNX Runtime have that surface.
set -euo pipefail
mkdir -p "$1"
scratch=$(cd "$1" && pwd)
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
app=$(cd "${2:-$here/../../../sample_apps/ios}" && pwd)
module() { swiftc -swift-version 5 -parse-as-library -emit-module -module-name "$1" -emit-module-path "$scratch/$1.swiftmodule" "${@:2}"; }
module EdgepackCore "$app"/EdgepackCore/Sources/EdgepackCore/*.swift "$app"/EdgepackCore/Sources/EdgepackCore/*/*.swift
for stub in "$here"/stubs/*.swift; do module "$(basename "$stub" .swift)" "$stub"; done
swiftc -swift-version 5 -typecheck -module-name Sample -I "$scratch" "$app"/Sample/*.swift "$app"/Sample/*/*.swift
