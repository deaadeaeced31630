"""All benchmarks of metrics one after the other, each in a process of its own, with the machine that they ran on.

    python benchmarks/metrics.py                    an hour or more on two cores; nothing else should compute meanwhile
    python benchmarks/metrics.py --quick            small sizes, to try the scripts; the figures mean little
    python benchmarks/metrics.py --only retrieval   one of them, or several: --only classic --only checker

The exit code is 1 if one of them failed.
"""

from __future__ import annotations

import argparse
import importlib.metadata
import os
import platform
import subprocess
import sys
import time
from pathlib import Path

# by script: what makes it small
QUICK = {
    "classic": ["--n", "1000", "--meteor-n", "100"],
    "nine_groups": ["--every", "800", "--no-peer"],
    "retrieval": ["--captions", "5000", "--clips", "1000"],
    "checker": ["--n", "300"],
    "gpu": ["--device", "cpu", "--every", "1000", "--layers", "2"],
}


def main() -> None:
    """Runs the scripts that were asked for and prints which of them failed."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="small sizes")
    parser.add_argument("--only", action="append", choices=tuple(QUICK), help="this one; may be repeated")
    parser.add_argument("--peer-python", metavar="PATH", help="interpreter with aac-metrics, for classic")
    options = parser.parse_args()
    print(machine(), flush=True)
    failed = []
    for name in options.only or QUICK:
        print(f"\n== {name} ==", flush=True)
        command = [sys.executable, str(Path(__file__).with_name(f"{name}.py")), *(QUICK[name] if options.quick else [])]
        if name == "classic" and options.peer_python:
            command += ["--peer-python", options.peer_python]
        started = time.perf_counter()
        code = subprocess.run(command, check=False).returncode
        if code:
            failed.append(name)
        print(
            f"-- {name}: {f'failed with code {code}' if code else 'done'} after {time.perf_counter() - started:.0f} s", flush=True
        )
    if failed:
        raise SystemExit(f"failed: {', '.join(failed)}")


def machine() -> str:
    """Returns one line on processor, memory, torch and device."""
    import torch

    device = torch.cuda.get_device_name() if torch.cuda.is_available() else "no CUDA device"
    memory_gib = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    versions = f"Python {platform.python_version()}, torch {torch.__version__}, numpy {importlib.metadata.version('numpy')}"
    return f"{os.cpu_count()} cores ({platform.machine()}), {memory_gib:.0f} GiB, {device}; {versions}"


if __name__ == "__main__":
    main()
