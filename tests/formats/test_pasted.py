"""What somebody pastes to be imported."""

from __future__ import annotations

import base64
import json
from datetime import UTC, datetime

import pytest

from pullpass.formats.imports.pasted import read_pasted
from pullpass.formats.imports.reading import Found, NotADockerConfig, Skipped

NOW = datetime(2026, 11, 24, tzinfo=UTC)


def config(*registries: str) -> str:
    auth = base64.b64encode(b"bot:canary-pasted-31c9").decode()
    return json.dumps({"auths": {registry: {"auth": auth} for registry in registries}})


def encoded(*registries: str) -> str:
    return base64.b64encode(config(*registries).encode()).decode()


def registries_in(text: str) -> list[str]:
    return [each.registry for each in read_pasted(text, NOW) if isinstance(each, Found)]


SECRET = f"""apiVersion: v1
data:
  .dockerconfigjson: {encoded("ghcr.io/acme")}
kind: Secret
metadata:
  annotations:
    kubectl.kubernetes.io/last-applied-configuration: |
      {{"data":{{".dockerconfigjson":"{encoded("old.example.com")}"}},"kind":"Secret"}}
  name: pull
type: kubernetes.io/dockerconfigjson
"""


@pytest.mark.parametrize(
    "text",
    [
        config("ghcr.io/acme"),
        SECRET,
        f'"data": {{".dockerconfigjson": "{encoded("ghcr.io/acme")}"}}',
        json.dumps({"items": [{"data": {".dockerconfigjson": encoded("ghcr.io/acme")}}]}),
        json.dumps({"data": {".dockercfg": encoded("ghcr.io/acme")}}, indent=2),
        f"data:\n  .dockerconfigjson: >-\n    {encoded('ghcr.io/acme')[:20]}\n"
        f"    {encoded('ghcr.io/acme')[20:]}\ntype: x\n",
        f"stringData:\n  .dockerconfigjson: |\n    {config('ghcr.io/acme')}\n",
        f"stringData:\r\n  .dockerconfigjson: '{config('ghcr.io/acme')}'\r\n",
    ],
    ids=["config", "yaml", "part", "json-list", "dockercfg", "folded", "literal", "quoted"],
)
def test_the_same_credential_is_read_from_each_form(text: str) -> None:
    assert registries_in(text) == ["ghcr.io/acme"]


def test_several_secrets_are_told_apart() -> None:
    text = f"{SECRET}---\n.dockerconfigjson: bm90IGpzb24=\n---\n{SECRET}"
    found = read_pasted(text, NOW)
    sources = {each.source for each in found}
    assert sources == {"pull secret 1", "pull secret 2", "pull secret 3"}
    skipped = [each for each in found if isinstance(each, Skipped)]
    assert any("it is not JSON" in each.why for each in skipped)


@pytest.mark.parametrize("text", ["", "nonsense canary", "[]", "kind: Secret\ndata: {}\n"])
def test_what_cannot_be_read_is_said_and_not_repeated(text: str) -> None:
    with pytest.raises(NotADockerConfig) as caught:
        read_pasted(text, NOW)
    assert "canary" not in str(caught.value)


def test_what_is_found_does_not_print_its_secret() -> None:
    assert "canary" not in repr(read_pasted(SECRET, NOW))
