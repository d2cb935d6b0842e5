"""Ends a process group and removes its folder once the process that started it is gone, however it went.

Run as a script: leader of the group, the folder as its argument, a pipe as standard input. The kernel closes the pipe
when the other side ends, SIGKILL included, on every system and whatever thread started it. (Linux's parent death
signal follows the thread, not the process, and leaves the folder.)
"""

import contextlib
import os
import shutil
import signal
import sys
import time
from pathlib import Path

REMOVAL_ATTEMPTS = 100


def main(folder: Path) -> None:
    """Wait for the end of standard input, then clean up."""
    for number in (signal.SIGHUP, signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.SIG_IGN)
    sys.stdin.buffer.read()
    group = os.getpgrp()
    if os.fork():
        signal.pause()  # as a member of the group it keeps the group's id from being reused until it is killed
    os.setpgid(0, 0)
    with contextlib.suppress(ProcessLookupError):
        os.killpg(group, signal.SIGKILL)
    for _ in range(REMOVAL_ATTEMPTS):  # a process that is just being killed may still add a file
        shutil.rmtree(folder, ignore_errors=True)
        if not folder.exists():
            return
        time.sleep(0.05)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
