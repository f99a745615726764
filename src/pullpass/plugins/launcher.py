"""A start for a plugin that costs no more than the interpreter's own.

The script that pip makes of an entry point starts Python with the user's and the site's set-up,
several times the time of an isolated one, and cannot say otherwise. This one can.
"""

from __future__ import annotations

import os
import sys

import pullpass

PROGRAMS = {
    "docker-credential-pullpass": "pullpass.plugins.docker",
    "pullpass-credential-provider": "pullpass.plugins.kubelet",
}

# The kernel reads so much of a first line (execve(2)), before Linux 5.1 half of it.
_LONGEST_FIRST_LINE = 127


def launcher(program: str, interpreter: str = "") -> str:
    """The text of an executable script (mode 0755) that is ``program``, one of ``PROGRAMS``.

    It holds the absolute paths of an interpreter (this one, unless another is given) and of this
    installation of Pullpass, so it is written anew after either has moved.

    Raises:
        ValueError: there is no such program, or no interpreter.
    """
    if program not in PROGRAMS:
        raise ValueError(f"{program!r} is not one of {', '.join(PROGRAMS)}")
    interpreter = interpreter or sys.executable
    if not os.path.isabs(interpreter):
        raise ValueError("the path of the Python interpreter is not known")
    folder = os.path.dirname(os.path.dirname(os.path.abspath(pullpass.__file__)))
    return f"""\
{_first_lines(interpreter)}
# {program}, as Pullpass {pullpass.__version__} wrote it.
import posix, sys

sys.path.append({folder!r})
from {PROGRAMS[program]} import main

# Everything is written by now, and the interpreter need not be taken down in order.
posix._exit(main())
"""


def _first_lines(interpreter: str) -> str:
    """-I: nothing of the user's environment or folder; -S: no site-packages."""
    line = f"#!{interpreter} -IS"
    if len(os.fsencode(line)) <= _LONGEST_FIRST_LINE and len(interpreter.split()) == 1:
        return line
    # No first line can hold that path: a shell and Python both read what follows, each its part.
    quoted = "'" + interpreter.replace("'", "'\"'\"'") + "'"
    return f"#!/bin/sh\n'''exec' {quoted} -IS \"$0\" \"$@\"\n' '''"
