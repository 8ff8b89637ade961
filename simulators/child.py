"""Becomes another program that dies with its parent: `python -m simulators.child PARENT_PID PROGRAM ARGUMENT…`.

The kernel is asked to kill this process when the thread that started it ends (PR_SET_PDEATHSIG); the wish survives
exec. Asking in a fork of the parent instead (preexec_fn) would run Python between fork and exec, which may deadlock
in a process with threads.
"""

import ctypes
import os
import signal
import sys

PR_SET_PDEATHSIG = 1  # linux/prctl.h


def main() -> None:
    """Replace this process. Exits 127 when the program cannot be started, 1 when the parent is gone already."""
    parent, program = int(sys.argv[1]), sys.argv[2]
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.prctl(PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0) != 0:
        sys.exit(f"prctl: {os.strerror(ctypes.get_errno())}")
    # The parent may have died before the wish was heard.
    if os.getppid() != parent:
        sys.exit(1)
    try:
        os.execvp(program, sys.argv[2:])  # noqa: S606  no shell is wanted
    except OSError as error:
        print(f"{program}: {error.strerror}", file=sys.stderr)  # noqa: T201  the log file of this child
        sys.exit(127)


if __name__ == "__main__":
    main()
