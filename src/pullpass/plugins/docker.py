"""``docker-credential-pullpass``: the credential helper of Docker, podman, skopeo and buildah.

The protocol is that of https://github.com/docker/docker-credential-helpers: the action is the
argument, the registry's address comes raw on stdin, the answer is JSON on stdout. Errors stand on
stdout too, with exit code 1; one exact sentence there means "none here", and the client goes on
without credentials, while any other text stops it and is shown.
"""

from __future__ import annotations

import sys

from pullpass.plugins.settings import (
    Failed,
    Settings,
    environment,
    one_line,
    settings,
    unwritten,
)

# The rest is imported where it is used: an answer that is kept needs nothing of it.
TYPE_CHECKING = False
if TYPE_CHECKING:
    from pullpass.plugins.cache import Cache
    from pullpass.plugins.transport import Answer

# Both as docker-credential-helpers and its clients spell them (credentials/error.go).
NOT_FOUND = "credentials not found in native keychain"
NO_SERVER_URL = "no credentials server URL"

_PROGRAM = "docker-credential-pullpass"
_USAGE = """\
Usage: docker-credential-pullpass get|list|store|erase|version

A credential helper: Docker, podman, skopeo and buildah call it. It asks the Pullpass server that
'pullpass login' has noted in ~/.config/pullpass/config.toml, or that PULLPASS_URL, PULLPASS_ORG and
PULLPASS_TOKEN (or PULLPASS_TOKEN_FILE) name. To use it for one registry, put this into
~/.docker/config.json:  {"credHelpers": {"ghcr.io": "pullpass"}}"""

_HUB = ("docker.io", "index.docker.io", "registry-1.docker.io", "registry.hub.docker.com")
_HUB_KEY = "https://index.docker.io/v1/"
_WITHOUT_CREDENTIALS = ("public", "secret_ref")
_LONGEST_QUESTION = 65536
_LISTED_PREFIXES = 10


def main() -> int:
    """The exit code, for a command line with one action."""
    arguments = sys.argv[1:]
    action = arguments[0] if len(arguments) == 1 else ""
    try:
        if action == "get":
            return _get()
        if action == "list":
            return _list()
        if action in ("store", "erase"):
            return _refuse(action)
        if action in ("version", "--version", "-v"):
            return _version()
        print(_USAGE, flush=True)
        return 0 if action in ("help", "--help", "-h") else 1
    except Failed as failure:
        return _fail(str(failure))
    except OSError as error:
        return unwritten(_PROGRAM, error)
    except KeyboardInterrupt:
        return 130


def _get() -> int:
    server = _stdin()
    if not server:
        print(NO_SERVER_URL, flush=True)
        return 1
    asked = settings(environment())
    if not asked.cache:
        return _ask(asked, server, None)
    from pullpass.plugins.cache import Cache

    question = ("get", asked.base, asked.organization, asked.token_identity(), server)
    cache = Cache(asked.environ, question)
    if (kept := cache.read()) is None:
        cache.take_turn()
        kept = cache.read()
    if kept is None:
        return _ask(asked, server, cache)
    print(kept, flush=True)
    return 0


def _ask(asked: Settings, server: str, cache: Cache | None) -> int:
    from pullpass.plugins.transport import get, require_success

    answer = get(asked, asked.token(), "host-creds", {"host": server})
    code = answer.text("code")
    if answer.status == 404 and code == "ambiguous_host":
        _explain_ambiguity(server, answer)
        return _not_found()
    if answer.status == 404 and code == "no_match":
        return _not_found()
    require_success(answer, asked)
    if not answer.text("registry"):
        # Not "none here": the client would go on without credentials, and fail less clearly.
        raise Failed(f"the answer is not one of Pullpass; check {asked.url_from}")
    username, password = answer.text("username"), answer.text("password")
    if not username or not password:
        # A public record, or one whose secret is in a cluster: there is nothing to log in with.
        return _not_found()
    found = _json({"ServerURL": server, "Username": username, "Secret": password})
    if cache is not None:
        from pullpass.plugins.lifetime import remaining

        cache.write(found, remaining(answer))
    print(found, flush=True)
    return 0


def _list() -> int:
    from pullpass.plugins.transport import get, require_success

    asked = settings(environment())
    answer = get(asked, asked.token(), "registries", {})
    require_success(answer, asked)
    if not isinstance(answer.fields, list):
        raise Failed(f"the answer is not one of Pullpass; check {asked.url_from}")
    servers = {}
    for record in answer.fields:
        if not isinstance(record, dict) or record.get("type") in _WITHOUT_CREDENTIALS:
            continue
        domain = _domain(str(record.get("registry", "")))
        if domain and "*" not in domain:
            servers[_HUB_KEY if domain in _HUB else domain] = ""
    print(_json(servers), flush=True)
    return 0


def _refuse(action: str) -> int:
    # Read what is sent, so that the client does not fail on a closed pipe instead.
    _stdin()
    if action == "store":
        return _fail(
            "nothing is stored here: credentials are kept on the Pullpass server; "
            "add them with 'pullpass registry create', or log in under another credential helper"
        )
    return _fail(
        "nothing is erased here: credentials are kept on the Pullpass server; "
        "remove them with 'pullpass registry delete'"
    )


def _version() -> int:
    from pullpass import __version__

    print(f"{_PROGRAM} (pullpass) {__version__}", flush=True)
    return 0


def _explain_ambiguity(server: str, answer: Answer) -> None:
    details = answer.fields.get("details") if isinstance(answer.fields, dict) else None
    prefixes = details.get("prefixes") if isinstance(details, dict) else None
    total = details.get("total") if isinstance(details, dict) else None
    names = [str(prefix) for prefix in prefixes] if isinstance(prefixes, list) else []
    count = total if isinstance(total, int) else len(names)
    shown = ", ".join(names[:_LISTED_PREFIXES])
    if count > _LISTED_PREFIXES:
        shown += f" and {count - _LISTED_PREFIXES} more"
    sys.stderr.write(
        one_line(
            _PROGRAM,
            f"no credential for {server}: a helper is asked by host, "
            f"and there are records for {shown}. podman, skopeo and buildah take a key for each "
            "path, which 'pullpass docker-config IMAGE... --file auth.json' writes.",
        )
        + "\n"
    )


def _domain(registry: str) -> str:
    """The host and port of a record's prefix, in lower case."""
    rest = registry.strip()
    scheme, separator, after = rest.partition("://")
    if separator and scheme.lower() in ("http", "https"):
        rest = after
    return rest.partition("/")[0].lower()


def _stdin() -> str:
    if sys.stdin is None:
        return ""
    return sys.stdin.buffer.read(_LONGEST_QUESTION).decode(errors="replace").strip()


def _not_found() -> int:
    print(NOT_FOUND, flush=True)
    return 1


def _fail(message: str) -> int:
    print(one_line(_PROGRAM, message), flush=True)
    return 1


def _json(texts: dict[str, str]) -> str:
    from pullpass.plugins.quickjson import quoted

    pairs = (f"{quoted(name)}: {quoted(text)}" for name, text in texts.items())
    return "{" + ", ".join(pairs) + "}"


if __name__ == "__main__":
    sys.exit(main())
