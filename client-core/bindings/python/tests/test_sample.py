"""The sample records a visit, syncs, and reports errors."""

import subprocess
import sys
from pathlib import Path

from conftest import Server

SAMPLE = Path(__file__).parent.parent / "samples" / "visit.py"


def test_the_sample_records_a_visit_and_syncs(server: Server, tmp_path: Path) -> None:
    arguments = [sys.executable, str(SAMPLE), str(tmp_path / "phone"), "BJ-1"]
    first = subprocess.run([*arguments, server.invitation("M001")], capture_output=True, text=True)
    assert first.returncode == 0, first.stderr
    assert "merged 5 rejected 0" in first.stdout and "safe to lose this phone up to" in first.stdout
    again = subprocess.run(arguments, capture_output=True, text=True)
    assert "merged 5 rejected 0" in again.stdout, again.stderr


def test_the_sample_reports_an_error(tmp_path: Path) -> None:
    done = subprocess.run([sys.executable, str(SAMPLE), str(tmp_path), "BJ-1"], capture_output=True, text=True)
    assert done.returncode == 1 and "OUTLET_UNKNOWN" in done.stderr
