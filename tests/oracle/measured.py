"""Runs a program and measures it from outside: `measured.py PROGRAM ARGUMENTS...` prints one JSON object with CPU seconds, wall seconds and
peak memory of the process (MiB), and its exit code. Called by the benchmark of calibration."""

import json
import resource
import subprocess
import sys
import time

start = time.perf_counter()
done = subprocess.run(sys.argv[1:], stdout=subprocess.DEVNULL, check=False)
wall = time.perf_counter() - start
used = resource.getrusage(resource.RUSAGE_CHILDREN)
print(
    json.dumps(
        {
            "code": done.returncode,
            "cpu": round(used.ru_utime + used.ru_stime, 3),
            "wall": round(wall, 3),
            "peak_mib": round(used.ru_maxrss / 1024, 1),
        }
    )
)
