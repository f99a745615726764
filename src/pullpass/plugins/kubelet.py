"""``pullpass-credential-provider``: the kubelet's image credential provider plugin.

A ``CredentialProviderRequest`` comes on stdin, a ``CredentialProviderResponse`` of the same version
goes to stdout (https://kubernetes.io/docs/reference/config-api/kubelet-credentialprovider.v1/).
What fails is one line on stderr, which the kubelet puts into its log, and exit code 1.
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

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

_PROGRAM = "pullpass-credential-provider"
_GROUP = "credentialprovider.kubelet.k8s.io"
_VERSIONS = (f"{_GROUP}/v1", f"{_GROUP}/v1beta1")
_REQUEST = "CredentialProviderRequest"
_LONGEST_REQUEST = 1024 * 1024

# What is left of a credential when the kubelet forgets it: the time to start and end a pull.
_MARGIN = 300
# A record that was changed is asked for again after that.
_LONGEST_CACHE = 3600

_OPTIONS = {
    "--url": "PULLPASS_URL",
    "--org": "PULLPASS_ORG",
    "--token-file": "PULLPASS_TOKEN_FILE",
    "--ca-bundle": "PULLPASS_CA_BUNDLE",
    "--timeout": "PULLPASS_TIMEOUT",
}
_USAGE = f"""\
Usage: {_PROGRAM} [--url URL] [--org ID] [--token-file FILE] [--ca-bundle FILE] [--timeout SECONDS]

A credential provider plugin: the kubelet calls it, with a {_REQUEST} on stdin.
'pullpass kubelet config' prints a configuration for it. An option that is not given is read from
{", ".join(_OPTIONS.values())}."""


def main() -> int:
    """The exit code, for a command line with options only."""
    arguments = sys.argv[1:]
    if arguments in (["--help"], ["-h"]):
        print(_USAGE, flush=True)
        return 0
    if arguments == ["--version"]:
        from pullpass import __version__

        print(f"{_PROGRAM} (pullpass) {__version__}", flush=True)
        return 0
    try:
        environ = _with_options(environment(), arguments)
        print(_respond(environ, _stdin()), flush=True)
        return 0
    except Failed as failure:
        sys.stderr.write(one_line(_PROGRAM, str(failure)) + "\n")
        return 1
    except OSError as error:
        return unwritten(_PROGRAM, error)
    except KeyboardInterrupt:
        return 130


def _with_options(environ: dict[str, str], arguments: Sequence[str]) -> dict[str, str]:
    rest = iter(arguments)
    for argument in rest:
        name, equals, value = argument.partition("=")
        if name not in _OPTIONS:
            raise Failed(f"there is no option {name!r}; there are {', '.join(_OPTIONS)}")
        if not equals:
            value = next(rest, "")
        if not value:
            raise Failed(f"{name} needs a value")
        environ[_OPTIONS[name]] = value
        if name == "--token-file":
            environ.pop("PULLPASS_TOKEN", None)
    return environ


def _stdin() -> bytes:
    if sys.stdin is None:
        return b""
    content = sys.stdin.buffer.read(_LONGEST_REQUEST + 1)
    if len(content) > _LONGEST_REQUEST:
        raise Failed(f"the request is longer than {_LONGEST_REQUEST} bytes")
    return content


def _respond(environ: Mapping[str, str], content: bytes) -> str:
    from pullpass.plugins.lifetime import remaining
    from pullpass.plugins.transport import get, require_success

    version, image, identity = _request(content)
    asked = settings(environ, needs_token=not identity)
    token = _exchanged(asked, identity) if identity else asked.token()
    answer = get(asked, token, "image-creds", {"image": image})
    if answer.status == 404 and answer.text("code") == "no_match":
        return _response(version, "0s", None)
    require_success(answer, asked)
    if not answer.text("registry"):
        raise Failed(f"the answer is not one of Pullpass; check {asked.url_from}")
    username, password = answer.text("username"), answer.text("password")
    if not username or not password:
        # A public record, or one whose secret is in a cluster: there is nothing to log in with.
        return _response(version, "0s", None)
    return _response(version, _cache_duration(remaining(answer)), (image, username, password))


def _request(content: bytes) -> tuple[str, str, str]:
    """The version, the image, and the service account's token where there is one."""
    from pullpass.plugins.quickjson import loads

    request = loads(content)
    if not isinstance(request, dict):
        raise Failed(f"stdin holds no {_REQUEST} in JSON; the kubelet sends one")
    version, kind = request.get("apiVersion"), request.get("kind")
    if version not in _VERSIONS or kind != _REQUEST:
        raise Failed(
            f"the request's apiVersion and kind are {str(version)[:80]!r} and {str(kind)[:80]!r}; "
            f"expected {' or '.join(_VERSIONS)}, and {_REQUEST}"
        )
    image, identity = request.get("image"), request.get("serviceAccountToken") or ""
    if not isinstance(image, str) or not image:
        raise Failed(
            "the request's image is missing or no text; expected one like ghcr.io/acme/app"
        )
    if not isinstance(identity, str):
        raise Failed("the request's serviceAccountToken is no text")
    return str(version), image, identity


def _exchanged(asked: Settings, identity: str) -> str:
    """A Pullpass token for the service account's, by the organization's trust rules.

    Source: RFC 8693 section 2.1.
    """
    from pullpass.plugins.transport import post_form

    answer = post_form(
        asked,
        "/token",
        {
            "grant_type": "urn:ietf:params:oauth:grant-type:token-exchange",
            "subject_token": identity,
            "subject_token_type": "urn:ietf:params:oauth:token-type:jwt",
            "audience": asked.organization,
        },
    )
    token = answer.text("access_token")
    if (
        answer.status == 200
        and token.isascii()
        and token.isprintable()
        and token.split() == [token]
    ):
        return token
    said = answer.text("error_description") or answer.text("error")
    if answer.status == 200 or not said:
        raise Failed(
            f"the server answered {answer.status} to a token exchange, and not as Pullpass does; "
            f"check {asked.url_from}"
        )
    raise Failed(
        f"the service account's token was not exchanged: {said.rstrip('.')}; "
        "see the organization's trust rules"
    )


def _cache_duration(lifetime: float | None) -> str | None:
    """How long the kubelet may keep a credential; None: as long as it is configured to."""
    if lifetime is None:
        return None
    return f"{max(0, int(min(lifetime - _MARGIN, _LONGEST_CACHE)))}s"


def _response(version: str, duration: str | None, found: tuple[str, str, str] | None) -> str:
    """The cache key is always the image: another image of the same registry may be another
    record's, and nothing in the answer for one says so.
    """
    from pullpass.plugins.quickjson import quoted

    fields = [
        f'"apiVersion": {quoted(version)}',
        '"kind": "CredentialProviderResponse"',
        '"cacheKeyType": "Image"',
    ]
    if duration is not None:
        fields.append(f'"cacheDuration": {quoted(duration)}')
    auth = "null"
    if found is not None:
        image, username, password = found
        login = f'{{"username": {quoted(username)}, "password": {quoted(password)}}}'
        auth = f"{{{quoted(_key(image))}: {login}}}"
    return "{" + ", ".join([*fields, f'"auth": {auth}']) + "}"


def _key(image: str) -> str:
    """The image's repository, and so no other image's than those whose names begin with it: a
    kubelet compares paths as strings.

    Source: kubernetes pkg/credentialprovider/keyring.go, ``Add`` (which drops a leading ``/v1`` or
    ``/v2`` of the path) and ``URLsMatch``.
    """
    folders, slash, name = image.partition("@")[0].rpartition("/")
    repository = f"{folders}{slash}{name.partition(':')[0]}"
    host, slash, path = repository.partition("/")
    if path.startswith(("v1/", "v2/")):
        return f"{host}/v2/{path}"
    return repository


if __name__ == "__main__":
    sys.exit(main())
