#!/usr/bin/env bash
# Makes XundianClientFFI.xcframework for iOS, its simulator and macOS. On a Mac with Xcode and Rust:
#   rustup target add aarch64-apple-ios aarch64-apple-ios-sim aarch64-apple-darwin

set -euo pipefail
cd "$(dirname "$0")"
root=$(cd ../../.. && pwd)
target=${CARGO_TARGET_DIR:-$root/target}

# uniffi-bindgen and a library of this machine, from which it reads what is declared.
(cd "$root" && cargo build --locked -p xundian-client --features bindgen)
./generate.sh "$target/debug"

arguments=()
for platform in aarch64-apple-ios aarch64-apple-ios-sim aarch64-apple-darwin; do
    (cd "$root" && cargo rustc --locked -p xundian-client --lib --features ffi --profile app --target "$platform" --crate-type staticlib)
    # The header and its module map go into a folder of their own, so that they meet no other framework's.
    headers=$target/$platform/app/headers
    rm -rf "$headers" && mkdir -p "$headers/xundian_clientFFI"
    cp Sources/xundian_clientFFI/* "$headers/xundian_clientFFI/"
    arguments+=(-library "$target/$platform/app/libxundian_client.a" -headers "$headers")
done
rm -rf XundianClientFFI.xcframework
xcodebuild -create-xcframework "${arguments[@]}" -output XundianClientFFI.xcframework
