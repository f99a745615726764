"""A disk that is full soon: a tmpfs of its own."""

from __future__ import annotations

import os
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

_BALLAST = "ballast"
_BLOCK = 4096


class SmallDisk:
    """``path`` is its root, which everybody may enter and write."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def fill(self) -> None:
        """Leave no block."""
        with (self.path / _BALLAST).open("ab", buffering=0) as file:
            try:
                while True:
                    file.write(bytes(_BLOCK))
            except OSError:
                pass

    def free(self) -> None:
        """Give back what :meth:`fill` took."""
        (self.path / _BALLAST).unlink(missing_ok=True)


@contextmanager
def small_disk(megabytes: int) -> Iterator[SmallDisk]:
    """Skips the test where mounting is not allowed."""
    # Not below pytest's own directory, which only root may enter.
    path = Path(tempfile.mkdtemp(prefix="pullpass-disk-"))
    mount = ["mount", "-t", "tmpfs", "-o", f"size={megabytes}m,mode=0777", "tmpfs", str(path)]
    done = subprocess.run(mount, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        path.rmdir()
        pytest.skip(f"A small disk needs the right to mount: {done.stderr.strip()}")
    os.chmod(path, 0o777)
    try:
        yield SmallDisk(path)
    finally:
        subprocess.run(["umount", "--lazy", str(path)], check=True)
        path.rmdir()
