"""Runs a program that cannot outlive the process that started it.

    python -I child.py USER SIGNAL PROGRAM [ARGUMENT...]

USER is a login name to become, or `-`; SIGNAL is the number that the kernel sends to the program when the
parent dies, even by SIGKILL. It is a program of its own because the alternative, `preexec_fn`, forks the
calling interpreter, and a fork after grpc was touched can hang. Linux only: `prctl(PR_SET_PDEATHSIG)`.
"""

from __future__ import annotations

import ctypes
import os
import pwd
import sys

PR_SET_PDEATHSIG = 1


def main() -> None:
    user, death_signal, *command = sys.argv[1:]
    parent = os.getppid()
    if user != "-":
        entry = pwd.getpwnam(user)
        os.setgroups([])
        os.setgid(entry.pw_gid)
        os.setuid(entry.pw_uid)
    # After the change of user, which would clear the setting again.
    if ctypes.CDLL(None, use_errno=True).prctl(PR_SET_PDEATHSIG, int(death_signal), 0, 0, 0) != 0:
        raise OSError(ctypes.get_errno(), "prctl(PR_SET_PDEATHSIG) failed")
    if os.getppid() != parent:
        sys.exit("the parent died while the program was being started")
    os.execv(command[0], command)


if __name__ == "__main__":
    main()
