"""Files that are replaced as a whole, so that nobody reads half of one."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

import click


def replace_file(path: Path, content: bytes, *, mode: int) -> None:
    """Put ``content`` in the place of the file at once, with this ``mode``.

    What a symbolic link points to is replaced, and the link stays.

    Raises:
        click.ClickException: it cannot be written; what was there is there still.
    """
    try:
        target = Path(os.path.realpath(path))
        descriptor, name = tempfile.mkstemp(prefix=f".{target.name}.", dir=target.parent)
        try:
            with os.fdopen(descriptor, "wb") as stream:
                stream.write(content)
                os.fchmod(descriptor, mode)
            os.replace(name, target)
        except BaseException:
            os.unlink(name)
            raise
    except OSError as error:
        raise click.ClickException(f"{str(path)!r}: {error.strerror}.") from None
