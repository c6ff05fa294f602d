"""Checks, without a compiler, that what the Swift written by hand calls is in the generated part: check_calls.py

It reads names and argument labels, no types. Where `swift` is there, `swift test` says more.
"""

import re
import sys
from pathlib import Path

HERE = Path(__file__).parent
GENERATED = HERE / "Sources/XundianClient/Generated/xundian_client.swift"
# What tests and the sample call a client.
CLIENTS = r"\b(?:client|phone|manager|self|open\([^()]*\))"

OF_FOUNDATION = {"bufferingNewest", "now", "regularExpression", "utf8"}


def arguments(text: str, at: int) -> list[str]:
    """What stands between the parentheses that open at a place, split at its commas."""
    found, depth, start = [], 0, at + 1
    for place in range(at, len(text)):
        if text[place] in "([{":
            depth += 1
        elif text[place] in ")]}":
            depth -= 1
        if depth == 0 or depth == 1 and text[place] == ",":
            found.append(text[start:place].strip())
            start = place + 1
        if depth == 0:
            return [argument for argument in found if argument]
    raise ValueError(f"no end of {text[at:at + 40]!r}")


def source(file: Path) -> str:
    """Without comments, in which there are commas and names as well."""
    text = re.sub(r"/\*.*?\*/", lambda comment: "\n" * comment.group().count("\n"), file.read_text(encoding="utf-8"), flags=re.DOTALL)
    return re.sub(r"(?<!:)//.*", "", text)


def label(argument: str) -> str:
    found = re.match(r"`?(\w+)`?\s*:", argument)
    return found.group(1) if found else "_"


def declared(text: str) -> dict[str, list[list[tuple[str, bool]]]]:
    """Each name's forms: the labels, and which of them may be left out."""
    forms: dict[str, list[list[tuple[str, bool]]]] = {}

    def add(name: str, at: int) -> None:
        form = [(label(argument), bool(re.search(r"=(?!=)", argument))) for argument in arguments(text, at)]
        forms.setdefault(name, []).append(form)

    for found in re.finditer(r"\bfunc `?(\w+)`?(?:<[^>]*>)?\(", text):
        add(found.group(1), found.end() - 1)
    for found in re.finditer(r"public struct (\w+): Equatable", text):
        init = re.compile(r"public init\(").search(text, found.end())
        if init:
            add(found.group(1), init.end() - 1)
    return forms


def fits(given: list[str], form: list[tuple[str, bool]]) -> bool:
    left = list(form)
    for name in given:
        while left and left[0][0] != name and left[0][1]:
            left.pop(0)
        if not left or left.pop(0)[0] != name:
            return False
    return all(may_be_left_out for _, may_be_left_out in left)


def faults(file: Path, forms: dict[str, list[list[tuple[str, bool]]]], cases: set[str]) -> list[str]:
    text, found = source(file), []

    def check(name: str, at: int, must_be_known: bool) -> None:
        given = [label(argument) for argument in arguments(text, at)]
        line = f"{file.relative_to(HERE)}:{text.count(chr(10), 0, at) + 1}: {name}({', '.join(given)})"
        if name not in forms:
            if must_be_known:
                found.append(f"{line}: there is no such call")
        elif not any(fits(given, form) for form in forms[name]):
            found.append(f"{line}: declared are {[[name for name, _ in form] for form in forms[name]]}")

    for call in re.finditer(CLIENTS + r"\.(\w+)\(", text):
        check(call.group(1), call.end() - 1, must_be_known=True)
    for call in re.finditer(r"(?<![.\w])([A-Z]\w+)\(", text):
        check(call.group(1), call.end() - 1, must_be_known=False)
    for case in re.finditer(r"(?:[(:,=\[]|\bcase) ?\.(\w+)\b", text):
        if case.group(1) not in cases:
            found.append(f"{file.relative_to(HERE)}: there is no case .{case.group(1)}")
    return found


def main() -> None:
    generated = source(GENERATED)
    by_hand = sorted(file for part in ("Sources/XundianClient", "Tests", "Samples") for file in (HERE / part).rglob("*.swift"))
    by_hand.remove(GENERATED)
    own = "\n".join(source(file) for file in by_hand)
    forms = declared(generated + own)
    cases = set(re.findall(r"\bcase `?(\w+)`?", generated + own)) | OF_FOUNDATION
    found = [fault for file in by_hand for fault in faults(file, forms, cases)]

    # What a test does not name, nobody has seen work.
    protocol = re.search(r"public protocol ClientProtocol.*?\n}", generated, flags=re.DOTALL)
    assert protocol is not None, "the generated part has no ClientProtocol"
    methods = re.findall(r"func `?(\w+)`?\(", protocol.group())
    functions = re.findall(r"^public func (?!FfiConverter|uniffi)`?(\w+)`?\(", generated, flags=re.MULTILINE)
    tests = "\n".join(source(file) for file in by_hand if "Tests" in file.parts)
    found += [f"no test calls {call}" for call in methods if not re.search(rf"\.{call}\(", tests)]
    found += [f"no test calls {call}" for call in functions if not re.search(rf"(?<![.\w]){call}\(", tests)]

    workspace = (HERE / "../../../Cargo.toml").read_text(encoding="utf-8")
    if re.findall(r'bindingVersion = "(.*)"', own) != re.findall(r'^version = "(.*)"', workspace, flags=re.MULTILINE):
        found.append("Opening.swift: bindingVersion is not the version of Cargo.toml")
    if found:
        sys.exit("\n".join(found))
    print(f"Swift: {len(by_hand)} files call what the generated part declares; its {len(methods + functions)} calls are in tests")


if __name__ == "__main__":
    main()
