"""The part of `check` that reads files and runs none: ``nova-bench check --no-run FILE...``."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

from nova_bench.cli_options import DONE, INCOMPLETE
from nova_bench.static_check import file_findings, printable


def check_files(files: Sequence[str], *, as_json: bool = False) -> int:
    """Print what can be said of adapter and task files without running them; 1 if a step of one failed.

    Args:
        files: Paths as they were given.
        as_json: Print one JSON document instead of lines.
    """
    found = {file: file_findings(Path(file)) for file in files}
    failed = any(finding.state == "fail" for findings in found.values() for finding in findings)
    if as_json:
        entries = [
            {"file": file, "findings": [asdict(finding) for finding in findings]}
            for file, findings in found.items()
        ]
        print(json.dumps({"schema_version": 1, "passed": not failed, "files": entries}, indent=1))
        return INCOMPLETE if failed else DONE
    for file, findings in found.items():
        print(f"{printable(file)} (read, not run)")
        for finding in findings:
            print(f"  {finding.state:<11}  {finding.step}: {finding.what}")
            if finding.state != "pass" and finding.remedy:
                print(f"  {'':<11}  -> {finding.remedy}")
    return INCOMPLETE if failed else DONE
