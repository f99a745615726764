"""Answers kept for a moment, so that a pull that asks in parallel asks the server once.

In ``$XDG_RUNTIME_DIR/pullpass``, which is in memory and goes with the session, else in
``$XDG_CACHE_HOME/pullpass`` (``~/.cache``). One file for each server, organization, token and
registry, mode 0600; its name is a hash of these, and its content bears a seal that only they make.
Whatever is not as it was written is as good as not there, and so is a folder that others can
write to.
"""

from __future__ import annotations

import posix
from _blake2 import blake2b
from time import monotonic, sleep, time

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

# Long enough for a pull, short enough for a credential that has just been rotated.
SECONDS = 30
# What a credential has to live at least, to be kept: the time to use it in.
_MARGIN = 60
_LONGEST = 1024 * 1024
_LONGEST_WAIT = 3.0
_LOCK = "lock"
_REGULAR, _FOLDER, _KIND = 0o100000, 0o040000, 0o170000


class Cache:
    """The answer to what the parts of ``question`` say together. A token is to be one of them;
    no part is written anywhere but as a hash.
    """

    __slots__ = ("_folder", "_lock", "_path", "_seal")

    def __init__(self, environ: Mapping[str, str], question: tuple[str, ...]) -> None:
        key = blake2b(digest_size=64)
        for part in question:
            encoded = part.encode(errors="surrogateescape")
            key.update(b"%d:" % len(encoded) + encoded)
        self._seal = key.digest()
        name = blake2b(b"name", key=self._seal, digest_size=20).hexdigest()
        self._folder = _folder(environ)
        self._path = f"{self._folder}/{name}"
        self._lock = -1

    def read(self) -> str | None:
        """The answer, None where there is none that may still be used."""
        if not self._folder or not _is_ours(self._folder, _FOLDER):
            return None
        try:
            file = posix.open(self._path, posix.O_RDONLY | posix.O_NOFOLLOW | posix.O_CLOEXEC)
        except OSError:
            return None
        try:
            found = posix.fstat(file)
            if not _private(found, _REGULAR) or found.st_size > _LONGEST:
                return None
            content = posix.read(file, _LONGEST)
        except OSError:
            return None
        finally:
            posix.close(file)
        seal, _, rest = content.partition(b"\n")
        until, _, body = rest.partition(b"\n")
        if not seal or seal != self._sealed(rest) or not until.isdigit():
            return None
        # A clock that was set back makes no answer older than it may be.
        if not 0 < int(until) - time() <= SECONDS:
            return None
        return body.decode(errors="replace")

    def write(self, body: str, lifetime: float | None) -> None:
        """Keeps an answer for ``SECONDS``, and less where the credential lives less; one that
        lives for ``lifetime`` seconds (None: no end is known). What cannot be kept is not.
        """
        seconds = SECONDS if lifetime is None else min(SECONDS, int(lifetime - _MARGIN))
        if seconds <= 0 or not self._made():
            return
        rest = b"%d\n" % int(time() + seconds) + body.encode()
        temporary = f"{self._path}.{posix.getpid()}"
        flags = posix.O_WRONLY | posix.O_CREAT | posix.O_EXCL | posix.O_NOFOLLOW | posix.O_CLOEXEC
        try:
            file = posix.open(temporary, flags, 0o600)
            try:
                whole = self._sealed(rest) + b"\n" + rest
                written = posix.write(file, whole)
            finally:
                posix.close(file)
            if written == len(whole):
                posix.rename(temporary, self._path)
            else:
                posix.unlink(temporary)
        except OSError:
            return
        _sweep(self._folder)

    def take_turn(self) -> None:
        """Waits while another asks the same, for a moment at most. Its end is the process's."""
        if not self._made():
            return
        try:
            flags = posix.O_RDWR | posix.O_CREAT | posix.O_NOFOLLOW | posix.O_CLOEXEC
            self._lock = posix.open(f"{self._folder}/{_LOCK}", flags, 0o600)
            # A byte of the file for each question: no other one waits.
            posix.lseek(self._lock, int.from_bytes(self._seal[:4], "big"), 0)
            end = monotonic() + _LONGEST_WAIT
            while not self._locked() and monotonic() < end:
                sleep(0.01)
        except OSError:
            return

    def _locked(self) -> bool:
        try:
            posix.lockf(self._lock, posix.F_TLOCK, 1)
        except (BlockingIOError, PermissionError):
            return False
        return True

    def _made(self) -> bool:
        if not self._folder:
            return False
        for folder in (self._folder.rpartition("/")[0], self._folder):
            try:
                posix.mkdir(folder, 0o700)
            except OSError:
                continue
        return _is_ours(self._folder, _FOLDER)

    def _sealed(self, rest: bytes) -> bytes:
        return blake2b(rest, key=self._seal, digest_size=32).hexdigest().encode()


def clear(environ: Mapping[str, str]) -> int:
    """Removes every answer of this user; how many there were."""
    count = 0
    for folder in _folders(environ):
        if _is_ours(folder, _FOLDER):
            count += sum(_removed(folder, name) for name in _names(folder) if name != _LOCK)
    return count


def _folder(environ: Mapping[str, str]) -> str:
    """The first whose parent is this user's: with sudo, it may be another's."""
    for folder in _folders(environ):
        parent = folder.rpartition("/")[0]
        try:
            if posix.stat(parent).st_uid == posix.geteuid():
                return folder
        except OSError:
            # The runtime folder is the system's to make.
            if parent != environ.get("XDG_RUNTIME_DIR"):
                return folder
    return ""


def _folders(environ: Mapping[str, str]) -> Iterator[str]:
    runtime = environ.get("XDG_RUNTIME_DIR") or ""
    if runtime.startswith("/"):
        yield f"{runtime}/pullpass"
    cache = environ.get("XDG_CACHE_HOME") or ""
    if not cache.startswith("/") and (environ.get("HOME") or "").startswith("/"):
        cache = f"{environ['HOME']}/.cache"
    if cache.startswith("/"):
        yield f"{cache}/pullpass"


def _is_ours(path: str, kind: int) -> bool:
    try:
        return _private(posix.lstat(path), kind)
    except OSError:
        return False


def _private(found: posix.stat_result, kind: int) -> bool:
    return (
        found.st_mode & _KIND == kind
        and found.st_uid == posix.geteuid()
        and found.st_mode & 0o077 == 0
    )


def _sweep(folder: str) -> None:
    """Removes what is past its time: nothing else would, and it holds credentials."""
    for name in _names(folder):
        try:
            old = posix.lstat(f"{folder}/{name}").st_mtime + SECONDS < time()
        except OSError:
            continue
        if old and name != _LOCK:
            _removed(folder, name)


def _names(folder: str) -> list[str]:
    try:
        return posix.listdir(folder)
    except OSError:
        return []


def _removed(folder: str, name: str) -> bool:
    try:
        posix.unlink(f"{folder}/{name}")
    except OSError:
        return False
    return True
