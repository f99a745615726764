"""What a plugin has to know, from the environment and the user's config file; how it fails.

``$XDG_CONFIG_HOME/pullpass/config.toml`` (``~/.config`` where that is not set), which ``pullpass
login`` writes, is one flat TOML table. A variable of the environment goes before the key of the
same name, one by one.
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping

_DEFAULT_TIMEOUT = 20.0
_TEXTS = ("url", "org", "token_file", "token_store", "ca_bundle")
_KEYS = (*_TEXTS, "timeout", "cache")
_LONGEST = 65536


class Failed(Exception):
    """No usable answer; the message is one sentence that says what to do."""


def one_line(program: str, message: str) -> str:
    """What a program says where it fails, with nothing in it that could drive a terminal."""
    text = f"{program}: {message}"
    return "".join(letter if letter.isprintable() else " " for letter in text)


def unwritten(program: str, error: OSError) -> int:
    """The exit code where an answer cannot be written; says why, unless nobody reads."""
    import posix
    import sys

    # The interpreter is not to try once more when it ends.
    posix.dup2(posix.open("/dev/null", posix.O_WRONLY), 1)
    if not isinstance(error, BrokenPipeError):
        sys.stderr.write(one_line(program, f"the answer cannot be written ({error})") + "\n")
    return 1


class Config:
    """The config file. A key that is not there is None; ``path`` is empty where there is no
    file, ``stamp`` changes whenever the file is written anew.

    ``token_file`` and ``ca_bundle`` are absolute: in the file they may be relative to its folder.
    ``timeout`` is in seconds; ``token_store`` is None or "keyring".
    """

    __slots__ = (*_KEYS, "path", "stamp")

    url: str | None
    org: str | None
    token_file: str | None
    token_store: str | None
    ca_bundle: str | None
    timeout: float | None
    cache: bool | None
    path: str
    stamp: str

    def __init__(self, path: str = "", stamp: str = "", **values: object) -> None:
        self.path = path
        self.stamp = stamp
        for key in _KEYS:
            setattr(self, key, values.get(key))


class Settings:
    """Where the server is, and with what to ask it.

    ``url_from`` and its like say where each was set, for advice. ``cache`` says whether answers
    may be kept for a while.
    """

    __slots__ = (
        "_token",
        "_token_file",
        "base",
        "ca_bundle",
        "ca_bundle_from",
        "cache",
        "config",
        "environ",
        "organization",
        "organization_from",
        "timeout",
        "token_from",
        "url_from",
    )

    def __init__(self, environ: Mapping[str, str], config: Config, needs_token: bool) -> None:
        """
        Raises:
            Failed: a setting is missing or cannot be used.
        """
        self.environ = environ
        self.config = config
        url, self.url_from = _chosen("PULLPASS_URL", environ, config, "url")
        organization, self.organization_from = _chosen("PULLPASS_ORG", environ, config, "org")
        self._token = environ.get("PULLPASS_TOKEN") or None
        self._token_file, self.token_from = _chosen(
            "PULLPASS_TOKEN_FILE", environ, config, "token_file"
        )
        if self._token:
            self.token_from = "PULLPASS_TOKEN"  # noqa: S105
        elif not self._token_file and config.token_store:
            self.token_from = "the keyring"  # noqa: S105
        token = self._token or self._token_file or config.token_store or not needs_token
        missing = [
            name
            for name, given in (
                ("PULLPASS_URL", url),
                ("PULLPASS_ORG", organization),
                ("PULLPASS_TOKEN (or PULLPASS_TOKEN_FILE)", token),
            )
            if not given
        ]
        if missing:
            raise Failed(
                f"set {', '.join(missing)} in the environment, or log in with 'pullpass login'"
            )
        self.base = (url or "").strip().rstrip("/")
        own = (config.url or self.base).strip().rstrip("/")
        given = environ.get("PULLPASS_TOKEN") or environ.get("PULLPASS_TOKEN_FILE")
        if needs_token and not given and self.base != own:
            raise Failed(
                f"the login is for {own}, and its token is not sent to {self.base}; log in "
                "there with 'pullpass login', or set PULLPASS_TOKEN"
            )
        self.organization = (organization or "").strip()
        self.ca_bundle, self.ca_bundle_from = _chosen(
            "PULLPASS_CA_BUNDLE", environ, config, "ca_bundle"
        )
        self.timeout = _timeout(environ.get("PULLPASS_TIMEOUT"), config)
        self.cache = _cache(environ.get("PULLPASS_CACHE"), config)

    def token(self) -> str:
        """The token; a keyring is asked for it only now.

        Raises:
            Failed: it cannot be read, or is not one.
        """
        if self._token:
            token = self._token
        elif self._token_file:
            token = self._from_file(self._token_file)
        else:
            from pullpass.plugins.keyring import lookup

            token = lookup(self.base, self.organization)
        token = token.strip()
        # Checked here, since no header can carry anything else.
        if not (token.isascii() and token.isprintable() and token and " " not in token):
            raise Failed(f"{self.token_from} does not hold one token as Pullpass issued it")
        return token

    def token_identity(self) -> str:
        """What tells one token from another without asking a keyring: with that, the writing of
        the config file, which ``pullpass login`` does.
        """
        if self._token or self._token_file:
            return self.token()
        return f"keyring {self.config.stamp}"

    def _from_file(self, path: str) -> str:
        try:
            with open(path, encoding="ascii", errors="replace") as file:
                return file.read(_LONGEST)
        except OSError as error:
            raise Failed(f"{self.token_from} cannot be read ({error.strerror})") from None


def settings(environ: Mapping[str, str], *, needs_token: bool = True) -> Settings:
    """The settings in the environment, and in the config file what is not set there.

    An empty variable is one that is not set. Where no token is needed, there may be none.

    Raises:
        Failed: one is missing or cannot be used, or the file cannot.
    """
    return Settings(environ, read_config(config_path(environ)), needs_token)


def environment() -> dict[str, str]:
    """The process's environment, as os.environ has it, without the import of os."""
    from posix import environ

    return {
        name.decode(errors="surrogateescape"): value.decode(errors="surrogateescape")
        for name, value in environ.items()
    }


def config_path(environ: Mapping[str, str]) -> str:
    """Where the config file is, whether it exists or not; empty for a user without a home.

    Source: https://specifications.freedesktop.org/basedir-spec/latest/ (a relative
    XDG_CONFIG_HOME is to be ignored).
    """
    folder = environ.get("XDG_CONFIG_HOME") or ""
    if not folder.startswith("/"):
        home = environ.get("HOME") or ""
        if not home.startswith("/"):
            return ""
        folder = f"{home}/.config"
    return f"{folder}/pullpass/config.toml"


def read_config(path: str) -> Config:
    """The config file at ``path``; an empty one where there is none. No token is read.

    Raises:
        Failed: it cannot be read, is not TOML, or a key is unknown or of the wrong type; names
            the file and the key.
    """
    import posix

    if not path:
        return Config()
    try:
        with open(path, "rb") as file:
            found = posix.fstat(file.fileno())
            content = file.read(_LONGEST + 1)
    except (FileNotFoundError, NotADirectoryError):
        return Config()
    except OSError as error:
        raise Failed(f"{path} cannot be read ({error.strerror})") from None
    if len(content) > _LONGEST:
        raise Failed(f"{path} is longer than {_LONGEST} bytes")
    values = _simple_table(content)
    if values is None:
        values = _toml(path, content)
    _check(path, values)
    folder = path.rpartition("/")[0]
    for key in ("token_file", "ca_bundle"):
        if key in values and not str(values[key]).startswith("/"):
            values[key] = f"{folder}/{values[key]}"
    return Config(path, f"{found.st_ino} {found.st_mtime_ns}", **values)


def _simple_table(content: bytes) -> dict[str, object] | None:
    """What ``pullpass login`` writes: comments, and ``key = value`` with a plain string, a
    number or a truth. None for any other TOML; tomllib takes longer than all the rest.
    """
    if not content.isascii():
        return None
    values: dict[str, object] = {}
    for line in content.decode().splitlines():
        line = line.strip(" \t")
        if not line or line[0] == "#":
            continue
        key, _, text = line.partition("=")
        key, text = key.strip(" \t"), text.strip(" \t")
        if key in values or key not in _KEYS:
            return None
        if text in ("true", "false"):
            values[key] = text == "true"
        elif text.isdecimal() and (text[0] != "0" or text == "0"):
            values[key] = int(text)
        elif len(text) > 2 and text[0] == text[-1] == '"' and text[1:-1].isprintable():
            if '"' in text[1:-1] or "\\" in text:
                return None
            values[key] = text[1:-1]
        else:
            return None
    return values


def _toml(path: str, content: bytes) -> dict[str, object]:
    import tomllib

    try:
        return tomllib.loads(content.decode())
    except tomllib.TOMLDecodeError as error:
        raise Failed(f"{path} is not TOML: {error}") from None
    except (UnicodeDecodeError, RecursionError):
        raise Failed(f"{path} is not TOML in UTF-8") from None


def _check(path: str, values: dict[str, object]) -> None:
    for key, value in values.items():
        expected = None
        if key not in _KEYS:
            expected = f"is unknown; known are {', '.join(_KEYS)}"
        elif key == "timeout":
            # A truth is a number for Python.
            if isinstance(value, bool) or not isinstance(value, (int, float)):
                expected = "is not a number of seconds"
        elif key == "cache":
            if not isinstance(value, bool):
                expected = "is neither true nor false"
        elif not isinstance(value, str) or not value:
            expected = 'is not a text; expected it in quotes: "…"'
        elif key == "token_store" and value != "keyring":
            expected = 'is not "keyring"; a token in a file goes under token_file'
        if expected:
            raise Failed(f"{path}: {key!r} {expected}")
    if "token_file" in values and "token_store" in values:
        raise Failed(f"{path}: 'token_file' and 'token_store' are both there; keep one")


def _chosen(
    variable: str, environ: Mapping[str, str], config: Config, key: str
) -> tuple[str | None, str]:
    """A setting, and where it was set."""
    if value := environ.get(variable):
        return value, variable
    value = getattr(config, key)
    return value, f"{key!r} in {config.path}" if value else variable


def _timeout(text: str | None, config: Config) -> float:
    if not text and config.timeout is None:
        return _DEFAULT_TIMEOUT
    where = "PULLPASS_TIMEOUT" if text else f"'timeout' in {config.path}"
    try:
        seconds = float(text or config.timeout or 0)
    except ValueError:
        seconds = 0.0
    if not 0 < seconds <= 3600:
        raise Failed(f"{where} is not a number of seconds from 0 to 3600")
    return seconds


def _cache(text: str | None, config: Config) -> bool:
    if not text:
        return config.cache is not False
    if text not in ("on", "off"):
        raise Failed("PULLPASS_CACHE is neither 'on' nor 'off'")
    return text == "on"
