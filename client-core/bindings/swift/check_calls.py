"""Checks, without a compiler, that the generated code declares what the hand-written Swift calls: check_calls.py

It compares names and argument labels, but no types. If `swift` is installed, run `swift test` instead.
"""

import re
import sys
from pathlib import Path

HERE = Path(__file__).parent
GENERATED = HERE / "Sources/XundianClient/Generated/xundian_client.swift"
# The names of clients in the tests and the sample.
CLIENTS = r"\b(?:client|phone|manager|self|open\([^()]*\))"

OF_FOUNDATION = {"bufferingNewest", "now", "regularExpression", "utf8"}


def arguments(text: str, at: int) -> list[str]:
    """Returns the arguments between the parentheses that open at a place."""
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
    raise ValueError(f"unbalanced parentheses: {text[at:at + 40]!r}")


def source(file: Path) -> str:
    """Returns a file's text without comments, because those contain commas and names too."""
    text = re.sub(r"/\*.*?\*/", lambda comment: "\n" * comment.group().count("\n"), file.read_text(encoding="utf-8"), flags=re.DOTALL)
    return re.sub(r"(?<!:)//.*", "", text)


def label(argument: str) -> str:
    found = re.match(r"`?(\w+)`?\s*:", argument)
    return found.group(1) if found else "_"


def declared(text: str) -> dict[str, list[list[tuple[str, bool]]]]:
    """Returns each name's signatures: the labels, and whether each may be omitted."""
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
                found.append(f"{line}: no such call is declared")
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

    # A call that no test names is untested.
    protocol = re.search(r"public protocol ClientProtocol.*?\n}", generated, flags=re.DOTALL)
    assert protocol is not None, "the generated code has no ClientProtocol"
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
    print(f"Swift: {len(by_hand)} files call only declared names; all {len(methods + functions)} generated calls are tested")


if __name__ == "__main__":
    main()
