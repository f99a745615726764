"""Trust rules and token exchange, against a real server and a real issuer."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from pullpass.client.errors import BadRequest, InvalidArgument, NotFound, Unauthenticated
from pullpass.client.secret import Secret
from pullpass.client.trust import TrustRuleFields
from tests.client.talk import Connect
from tests.parts.oidc import IssuerServer
from tests.parts.server import PullpassServer, pullpass_server


@pytest.fixture(scope="module")
def pullpass(tmp_path_factory: pytest.TempPathFactory) -> Iterator[PullpassServer]:
    env = {"PULLPASS_ALLOW_NETWORKS": "127.0.0.0/8"}
    with pullpass_server(tmp_path_factory.mktemp("pullpass") / "data", env=env) as server:
        yield server


def test_a_rule_and_what_it_is_for(connect: Connect, pullpass: PullpassServer) -> None:
    with (
        IssuerServer() as issuer,
        connect(pullpass.url, "acme", Secret(pullpass.admin_token)) as client,
        connect(pullpass.url, "acme", None) as job,
    ):
        fields: TrustRuleFields = {
            "id": "github",
            "issuer": issuer.name,
            "claims": {"repository": "acme/*", "ref": ["refs/heads/main", "refs/tags/*"]},
            "role": "puller",
            "registries": ["ghcr"],
        }
        made = client.trust_rules.create(fields)
        assert made.claims == {
            "repository": ("acme/*",),
            "ref": ("refs/heads/main", "refs/tags/*"),
        }
        assert (made.registries, made.lifetime) == (("ghcr",), 900)
        assert client.trust_rules.list() == (made,)
        assert client.trust_rules.get("github") == made

        token = Secret(issuer.token())
        tried = client.trust_rules.test(token)
        assert (tried.ok, tried.rule, [rule.matches for rule in tried.rules]) == (
            True,
            "github",
            [True],
        )
        exchanged = job.exchange_token(token, rule="github")
        assert (exchanged.expires_in, exchanged.scope) == (900, "github")
        with connect(pullpass.url, "acme", exchanged.access_token) as theirs:
            assert theirs.current_user().id == made.user_id
            [info] = client.tokens.list(made.user_id)
            assert info.subject == "repo:acme/app:ref:refs/heads/main"
            changed = client.trust_rules.update("github", {"lifetime": 60, "registries": None})
            assert (changed.lifetime, changed.registries) == (60, None)
            with pytest.raises(Unauthenticated):
                theirs.current_user()
        with pytest.raises(BadRequest) as refused:
            job.exchange_token(Secret(issuer.token(repository="evil/app")))
        assert refused.value.code == "invalid_grant"
        assert refused.value.message.startswith("The identity token comes under no trust rule")
        client.trust_rules.delete("github")
        with pytest.raises(NotFound):
            client.trust_rules.get("github")


def test_a_client_without_a_token(connect: Connect, pullpass: PullpassServer) -> None:
    with connect(pullpass.url, "acme", None) as client, pytest.raises(Unauthenticated):
        client.current_user()
    with connect(pullpass.url, None, None) as client, pytest.raises(InvalidArgument):
        client.exchange_token(Secret("token"))
