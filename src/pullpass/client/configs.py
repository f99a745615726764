"""Docker configs: the operations that ask for one, and what they answer."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from pullpass.client import wire
from pullpass.client.fields import Fields, decode
from pullpass.client.secret import Secret
from pullpass.client.wire import Operation, Response, path


@dataclass(frozen=True, slots=True)
class DockerConfig:
    """``auths`` by key: the Base64 of user name and password, None where none is to be used.

    ``expires`` is when the first of the credentials ends (aware UTC time), None where none does.
    ``without`` names the images that have no credential, as text for people.
    """

    auths: Mapping[str, Secret | None]
    expires: datetime | None = None
    without: str | None = None

    def reveal(self) -> dict[str, dict[str, dict[str, str]]]:
        """The content of a `config.json`, secrets in the clear."""
        return {
            "auths": {
                key: {} if auth is None else {"auth": auth.reveal()}
                for key, auth in self.auths.items()
            }
        }


def images_config(
    organization: str, images: Sequence[str], *, consumer: str = "docker"
) -> Operation[DockerConfig]:
    """A Docker config with the credentials for up to 1,000 images, all or none of them.

    ``consumer`` is `docker` (container clients and build tools) or `kubelet`.
    """
    body = {"images": list(images), "consumer": consumer}
    target = path("orgs", organization, "docker-config")
    return wire.send("POST", target, body, _read, repeatable=True)


def registry_config(
    organization: str, registry_id: str, *, consumer: str = "docker"
) -> Operation[DockerConfig]:
    """A Docker config with the record's credential."""
    target = path("orgs", organization, "registries", registry_id, "docker-config")
    return wire.get(target, {"consumer": consumer}, _read)


def _read(response: Response) -> DockerConfig:
    auths = Fields(decode(response.body)).by_key("auths", _entry) or {}
    # The body is a file for others, so what they do not need stands in headers.
    headers = Fields(dict(response.headers))
    return DockerConfig(
        auths,
        headers.moment("pullpass-expires"),
        headers.optional_text("pullpass-without-credential"),
    )


def _entry(fields: Fields) -> Secret | None:
    auth = fields.optional_text("auth")
    return None if auth is None else Secret(auth)
