"""Every export of the library is named in a test. These tests fail for a new call until it has one."""

import inspect
import re
import sys
from pathlib import Path

from xundian_client import ErrorCode, library_version

GENERATED = sys.modules[library_version.__module__]
TESTS = "\n".join(file.read_text(encoding="utf-8") for file in Path(__file__).parent.glob("test_*.py") if file != Path(__file__))

SERVER = "needs a server that breaks the protocol, which ours does not"
NOT_MADE_HERE = {
    ErrorCode.OUTLET_OUT_OF_SCOPE: "an outlet that leaves the scope also leaves the device, which then does not know it",
    ErrorCode.INTERNAL: "a bug in the library; none is known",
    ErrorCode.NO_OPEN_VISIT: "current_visit returns None instead",
    ErrorCode.ZONE_UNKNOWN: "the server imports no outlet with an unknown time zone",
    ErrorCode.STORE_FULL: "needs a million saves",
    ErrorCode.PHOTOS_FULL: "needs a thousand pictures",
    ErrorCode.SERVER_RESTORED: "needs more saves than a device keeps",
    ErrorCode.DEVICE_DATE: "needs a phone whose clock is wrong by years",
    ErrorCode.SERVER_SILENT: "needs a server that falls silent during a session",
    ErrorCode.SESSION_ENDED: SERVER,
    ErrorCode.SERVER_UNREADABLE: SERVER,
    ErrorCode.VERSION_REFUSED: SERVER,
    ErrorCode.SERVER_UNAVAILABLE: SERVER,
    ErrorCode.SERVER_REFUSED: SERVER,
}


def exported() -> set[str]:
    """Returns the functions of the package, and the methods of its objects and observers."""
    names = {name: getattr(GENERATED, name) for name in GENERATED.__all__}
    functions = {name for name, value in names.items() if inspect.isfunction(value)}
    of_library = [value for name, value in names.items() if {f"{name}Protocol", f"{name}Impl"} & names.keys()]
    methods = {name for kind in of_library for name in vars(kind) if not name.startswith("_")}
    return functions | methods


def test_every_exported_function_is_called_in_a_test() -> None:
    calls = exported()
    assert calls >= {"open", "sync", "count_stock", "cancel", "on_progress", "library_version"}
    assert [call for call in sorted(calls) if not re.search(rf"(\.|\bdef |\bawait |\s){call}\(", TESTS)] == []


def test_every_error_code_has_a_test_or_a_reason_for_none() -> None:
    assert {error for error in ErrorCode if not re.search(rf"ErrorCode\.{error.name}\b", TESTS)} == NOT_MADE_HERE.keys()
