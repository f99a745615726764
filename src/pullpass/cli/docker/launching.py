"""The credential helper as a program that starts fast: the script that pip makes does not."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import click

from pullpass.cli.files import replace_file
from pullpass.plugins.launcher import launcher

PROGRAM = "docker-credential-pullpass"
_MARK = "as Pullpass"


def put_launcher(folder: Path, *, dry_run: bool) -> str | None:
    """Write the launcher into ``folder`` unless PATH leads to one; a sentence of what was done.

    Raises:
        click.ClickException: it cannot be written.
    """
    text = launcher(PROGRAM)
    found = shutil.which(PROGRAM)
    if found is not None and _content(Path(found)) == text:
        return None
    target = folder / PROGRAM
    if found is not None and _MARK in _content(Path(found)):
        # One of ours, of another installation: it stays where it is found.
        target = Path(found)
    elif _content(target) == text:
        return _on_path(target)
    elif target.exists() and _MARK not in _content(target):
        return (
            f"{target} starts slower than it could: give --bin-dir a folder that comes before it "
            "on PATH."
        )
    if not dry_run:
        try:
            target.parent.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise click.ClickException(f"{str(target.parent)!r}: {error.strerror}.") from None
        replace_file(target, text.encode(), mode=0o755)
    done = "Would write" if dry_run else "Wrote"
    said = f"{done} {target}, which starts faster than {found or 'the script that pip makes'}."
    if dry_run:
        return said
    return f"{said} {_on_path(target) or ''}".rstrip()


def drop_launcher(folder: Path, *, dry_run: bool) -> str | None:
    """Remove the launcher from ``folder``, if one is there; a sentence of what was done."""
    target = folder / PROGRAM
    if _MARK not in _content(target):
        return None
    if not dry_run:
        try:
            target.unlink()
        except OSError as error:
            raise click.ClickException(f"{str(target)!r}: {error.strerror}.") from None
    return f"{'Would remove' if dry_run else 'Removed'} {target}."


def _on_path(target: Path) -> str | None:
    """What to do so that clients find ``target``; None where they do."""
    found = shutil.which(PROGRAM)
    if found is not None and os.path.realpath(found) == os.path.realpath(target):
        return None
    before = f"before {os.path.dirname(found)} " if found else ""
    return f"Put {target.parent} {before}on PATH."


def _content(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError):
        return ""
