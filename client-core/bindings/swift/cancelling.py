"""Makes a cancelled Swift task end the call that it waits for: cancelling.py GENERATED

The library can end a call, but UniFFI's Swift code cannot request it. Each change below must find its place. If a later
UniFFI generates other code, this script fails: adapt the change, or remove it if it is no longer needed.
"""

import re
import sys
from pathlib import Path

CHANGES = [
    # Each async call passes the function that ends it.
    (
        r"( +)freeFunc: (ffi_\w+_rust_future_)free(_\w+),\n",
        r"\g<0>\1cancelFunc: { \2cancel\3($0) },\n",
    ),
    (
        r"( +)freeFunc: \(UInt64\) -> \(\),\n",
        r"\g<0>\1cancelFunc: @escaping @Sendable (UInt64) -> (),\n",
    ),
    # A task that is cancelled while it waits calls that function.
    (
        r"    var pollResult: Int8;\n(    repeat \{\n.*?\n    \} while pollResult != UNIFFI_RUST_FUTURE_POLL_READY\n)",
        r"    await withTaskCancellationHandler {\n    var pollResult: Int8\n\1    } onCancel: {\n        cancelFunc(rustFuture)\n    }\n",
    ),
    # The library then reports that the call has no result.
    (
        r'fatalError\("Cancellation not supported yet"\)',
        r"throw CancellationError()",
    ),
]


def main(file: Path) -> None:
    text = file.read_text(encoding="utf-8")
    for place, change in CHANGES:
        text, found = re.subn(place, change, text, flags=re.DOTALL)
        if not found:
            sys.exit(f"{file}: {place} is not found: UniFFI generates other code now, see {Path(__file__).name}")
    file.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
