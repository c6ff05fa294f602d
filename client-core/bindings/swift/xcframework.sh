#!/usr/bin/env bash
# Builds XundianClientFFI.xcframework for iOS, its simulator and macOS. On a Mac with Xcode and Rust, run first:
#   rustup target add aarch64-apple-ios aarch64-apple-ios-sim aarch64-apple-darwin

set -euo pipefail
cd "$(dirname "$0")"
root=$(cd ../../.. && pwd)
target=${CARGO_TARGET_DIR:-$root/target}

# uniffi-bindgen reads the declarations from a library built for this machine.
(cd "$root" && cargo build --locked -p xundian-client --features bindgen)
./generate.sh "$target/debug"

arguments=()
for platform in aarch64-apple-ios aarch64-apple-ios-sim aarch64-apple-darwin; do
    (cd "$root" && cargo rustc --locked -p xundian-client --lib --features ffi --profile app --target "$platform" --crate-type staticlib)
    # The header and its module map get a folder of their own, so that they cannot collide with another framework's.
    headers=$target/$platform/app/headers
    rm -rf "$headers" && mkdir -p "$headers/xundian_clientFFI"
    cp Sources/xundian_clientFFI/* "$headers/xundian_clientFFI/"
    arguments+=(-library "$target/$platform/app/libxundian_client.a" -headers "$headers")
done
rm -rf XundianClientFFI.xcframework
xcodebuild -create-xcframework "${arguments[@]}" -output XundianClientFFI.xcframework
