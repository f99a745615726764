"""The token in the user's keyring: the freedesktop Secret Service, through ``secret-tool``.

https://manpages.debian.org/secret-tool (libsecret-tools), for
https://specifications.freedesktop.org/secret-service/latest/.
"""

from __future__ import annotations

from pullpass.plugins.settings import Failed

_SECONDS = 60


def attributes(url: str, organization: str) -> list[str]:
    """What the token for a server and an organization is kept under, as secret-tool wants it:
    ``secret-tool store --label=… ATTRIBUTES`` (the secret on stdin), ``lookup``, ``clear``.
    """
    return ["service", "pullpass", "url", url.strip().rstrip("/"), "org", organization]


def lookup(url: str, organization: str) -> str:
    """The token. The keyring may ask the user to unlock it.

    Raises:
        Failed: there is none, or no keyring to ask.
    """
    import subprocess

    again = "log in again with 'pullpass login'"
    try:
        done = subprocess.run(  # noqa: S603 - no shell, and no secret among the arguments
            ["secret-tool", "lookup", *attributes(url, organization)],  # noqa: S607
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=_SECONDS,
            check=False,
        )
    except FileNotFoundError:
        raise Failed(
            "the token is in the keyring, and secret-tool (Debian: libsecret-tools) is not "
            f"installed; install it, or {again}"
        ) from None
    except (OSError, subprocess.TimeoutExpired) as error:
        raise Failed(f"the keyring did not answer ({type(error).__name__}); {again}") from None
    token = done.stdout.decode("ascii", "replace")
    if done.returncode or not token.strip():
        raise Failed(
            f"the keyring holds no token for {url} and organization {organization}; {again}"
        )
    return token
