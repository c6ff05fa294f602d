"""A binding and a library from different builds raise at import, whichever is the newer one."""

import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Callable

import pytest
import xundian_client

PACKAGE = Path(xundian_client.__file__).parent
# In a wheel the module is one package deeper.
GENERATED = str(Path(sys.modules[xundian_client.library_version.__module__].__file__ or "").relative_to(PACKAGE))


def imported(folder: Path, file: str, change: Callable[[str], str]) -> subprocess.CompletedProcess[str]:
    """Imports a copy of the package in which one file is changed."""
    shutil.copytree(PACKAGE, folder / "xundian_client")
    changed = folder / "xundian_client" / file
    before = changed.read_text(encoding="utf-8")
    after = change(before)
    assert after != before
    changed.write_text(after, encoding="utf-8")
    return subprocess.run([sys.executable, "-c", "import xundian_client"], cwd=folder, env={}, capture_output=True, text=True)


def newer_version(text: str) -> str:
    return text.replace('__version__ = "', '__version__ = "9.')


def a_call_that_the_library_lacks(text: str) -> str:
    return text.replace("uniffi_xundian_client_checksum_func_library_version", "uniffi_xundian_client_checksum_func_new_one")


def a_call_of_another_shape(text: str) -> str:
    return re.sub(r"(checksum_func_library_version\(\) != )\d+", r"\g<1>1", text)


def another_contract(text: str) -> str:
    return re.sub(r"(bindings_contract_version = )\d+", r"\g<1>1", text)


@pytest.mark.parametrize(
    ("file", "change"),
    [
        ("__init__.py", newer_version),
        (GENERATED, a_call_that_the_library_lacks),
        (GENERATED, a_call_of_another_shape),
        (GENERATED, another_contract),
    ],
)
def test_a_mismatch_is_refused_at_import(tmp_path: Path, file: str, change: Callable[[str], str]) -> None:
    done = imported(tmp_path, file, change)
    assert done.returncode != 0
    last = done.stderr.strip().splitlines()[-1]
    assert last.startswith("ImportError: xundian_client") and last.endswith("install it again"), done.stderr


def test_a_matching_pair_is_imported(tmp_path: Path) -> None:
    done = imported(tmp_path, "__init__.py", lambda text: text + "\n")
    assert done.returncode == 0, done.stderr
