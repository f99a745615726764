"""What a plugin has to know, from the environment; and how it fails."""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping

_DEFAULT_TIMEOUT = 20.0


class Failed(Exception):
    """No usable answer; the message is one sentence that says what to do."""


class Settings:
    """Where the server is, and with what to ask it: all from the environment."""

    __slots__ = ("base", "ca_bundle", "organization", "timeout", "token")

    def __init__(
        self, base: str, organization: str, token: str, ca_bundle: str | None, timeout: float
    ) -> None:
        self.base = base
        self.organization = organization
        self.token = token
        self.ca_bundle = ca_bundle
        self.timeout = timeout


def settings(environ: Mapping[str, str]) -> Settings:
    """The settings in the environment. An empty variable is one that is not set.

    Raises:
        Failed: one is missing or cannot be used.
    """
    missing = [name for name in ("PULLPASS_URL", "PULLPASS_ORG") if not environ.get(name)]
    token_file = environ.get("PULLPASS_TOKEN_FILE")
    if not environ.get("PULLPASS_TOKEN") and not token_file:
        missing.append("PULLPASS_TOKEN (or PULLPASS_TOKEN_FILE)")
    if missing:
        raise Failed(f"set {', '.join(missing)} in the environment")
    return Settings(
        environ["PULLPASS_URL"].strip().rstrip("/"),
        environ["PULLPASS_ORG"].strip(),
        _token(environ.get("PULLPASS_TOKEN"), token_file),
        environ.get("PULLPASS_CA_BUNDLE") or None,
        _timeout(environ.get("PULLPASS_TIMEOUT")),
    )


def _token(token: str | None, token_file: str | None) -> str:
    where = "PULLPASS_TOKEN"
    if not token and token_file:
        where = "PULLPASS_TOKEN_FILE"
        try:
            with open(token_file, encoding="ascii", errors="replace") as file:
                token = file.read(65536)
        except OSError as error:
            raise Failed(f"PULLPASS_TOKEN_FILE cannot be read ({error.strerror})") from None
    token = (token or "").strip()
    # Checked here, since http.client would repeat in its error what no header can carry.
    if not token or not all("!" <= letter <= "~" for letter in token):
        raise Failed(f"{where} does not hold one token as Pullpass issued it")
    return token


def _timeout(text: str | None) -> float:
    if not text:
        return _DEFAULT_TIMEOUT
    try:
        seconds = float(text)
    except ValueError:
        seconds = 0.0
    if not 0 < seconds <= 3600:
        raise Failed("PULLPASS_TIMEOUT is not a number of seconds from 0 to 3600")
    return seconds
