"""A control plane to develop against: `python -m mcp_agentspawn.localplane [FILE OR FOLDER...]`.

Builds the programs on first use, starts them, applies the manifests that are named, prints `export KUBECONFIG=...`
for a second terminal, and runs until Ctrl-C. Nothing of it is left then. With `--binaries-only` it only makes sure
that the programs are there.
"""

import asyncio
import contextlib
import signal
import sys
from pathlib import Path

from mcp_agentspawn.localplane import (
    Binaries,
    ControlPlane,
    ControlPlaneFailed,
    ControlPlaneUnavailable,
    InstallFailed,
    find_or_build,
    install,
)

BINARIES_ONLY = "--binaries-only"


async def run(binaries: Binaries, files: list[Path]) -> None:
    """Run a control plane until this task is cancelled or a component dies."""
    task = asyncio.current_task()
    if task is not None:
        asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, task.cancel)
    async with ControlPlane(binaries) as plane:
        await install(plane.admin, files)
        sys.stdout.write(f"export KUBECONFIG={plane.admin_kubeconfig}\n")
        sys.stdout.flush()
        await plane.watch()


def main() -> None:
    """Start, and end with 0 after Ctrl-C, 3 when there is no control plane to be had."""
    arguments = sys.argv[1:]
    if {"--help", "-h"} & set(arguments):
        sys.stdout.write(__doc__ or "")
        return
    try:
        binaries = find_or_build()
        if arguments == [BINARIES_ONLY]:
            return
        with contextlib.suppress(KeyboardInterrupt, asyncio.CancelledError):
            asyncio.run(run(binaries, [Path(name) for name in arguments]))
    except (ControlPlaneUnavailable, ControlPlaneFailed, InstallFailed) as error:
        sys.stderr.write(f"{error}\n")
        sys.exit(3)
    except KeyboardInterrupt:
        sys.stderr.write("\nInterrupted. What Go has compiled is kept: the next build goes on from there.\n")
        sys.exit(130)


if __name__ == "__main__":
    main()
