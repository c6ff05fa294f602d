#!/usr/bin/env bash
# Generates the library's Swift code, header and module map from what cargo has built: generate.sh [FOLDER]
#
# FOLDER holds the library and uniffi-bindgen, by default target/debug of the workspace:
#   cargo build -p xundian-client --features bindgen

set -euo pipefail
built=$(cd "${1:-$(dirname "$0")/../../../target/debug}" && pwd)
cd "$(dirname "$0")"

library=
for name in libxundian_client.so libxundian_client.dylib; do
    if [ -f "$built/$name" ]; then library=$built/$name; fi
done
if [ -z "$library" ]; then
    echo "there is no library in $built: cargo build -p xundian-client --features bindgen" >&2
    exit 1
fi

written=$(mktemp -d)
trap 'rm -rf "$written"' EXIT
"$built/uniffi-bindgen" generate --library "$library" --language swift --no-format --config uniffi.toml --out-dir "$written"

python3 cancelling.py "$written/xundian_client.swift"

# UniFFI's module map names modules that only Apple's systems have.
mkdir -p Sources/XundianClient/Generated Sources/xundian_clientFFI
mv "$written/xundian_client.swift" Sources/XundianClient/Generated/
mv "$written/xundian_clientFFI.h" Sources/xundian_clientFFI/
cat > Sources/xundian_clientFFI/module.modulemap <<'END'
module xundian_clientFFI {
    header "xundian_clientFFI.h"
    export *
}
END
