#!/usr/bin/env bash
# Type-checks sample_apps/ios/Sample against the real EdgepackCore and the stubs in tests/apps/swift_stubs, in SCRATCH.
#
#   tests/apps/check_swift_app.sh SCRATCH [SAMPLE_APP]
#
# Needs swiftc (any platform). It shows that the app's own files agree with each other, with EdgepackCore and with the
# surface that the stubs declare; not that Apple's frameworks have that surface.
set -euo pipefail
scratch=$1
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
app=${2:-$here/../../sample_apps/ios}
mkdir -p "$scratch"
module() { swiftc -swift-version 5 -parse-as-library -emit-module -module-name "$1" -emit-module-path "$scratch/$1.swiftmodule" "${@:2}"; }
module EdgepackCore "$app"/EdgepackCore/Sources/EdgepackCore/*.swift
for stub in "$here"/swift_stubs/*.swift; do module "$(basename "$stub" .swift)" "$stub"; done
swiftc -swift-version 5 -typecheck -module-name Sample -I "$scratch" "$app"/Sample/*.swift "$app"/Sample/*/*.swift
