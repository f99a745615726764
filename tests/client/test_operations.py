"""Every call of the client against a real server."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime

import pytest

from pullpass.client.clusters import Changes, Problem, RegistryReport
from pullpass.client.errors import (
    BadRequest,
    Conflict,
    Forbidden,
    NotFound,
    PreconditionFailed,
    Unauthenticated,
)
from pullpass.client.models import RegistryFields, SecretReference
from pullpass.client.secret import Secret
from pullpass.client.sync import Client
from tests.client.talk import Connect
from tests.parts.server import PullpassServer, pullpass_server

END = datetime(2030, 1, 31, 12, tzinfo=UTC)


@pytest.fixture(scope="module")
def pullpass(
    connect: Connect, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[PullpassServer]:
    with pullpass_server(tmp_path_factory.mktemp("pullpass") / "data") as server:
        yield server


@pytest.fixture
def client(connect: Connect, pullpass: PullpassServer) -> Iterator[Client]:
    with connect(pullpass.url, pullpass.organization, Secret(pullpass.admin_token)) as client:
        yield client


def basic(record_id: str, registry: str) -> RegistryFields:
    return {
        "id": record_id,
        "registry": registry,
        "type": "basic",
        "creds": {"username": "robot", "password": Secret("hunter2"), "expires": END},
    }


def test_a_record_from_its_creation_to_its_end(client: Client) -> None:
    created = client.registries.create(
        basic("life", "life.example") | {"secrets": {"*": {"namespace": "pull", "secret": "x"}}}
    )
    assert (created.id, created.registry, created.type) == ("life", "life.example", "basic")
    assert created.enable_ci is False
    assert created.secrets == {"*": SecretReference("pull", "x")}
    assert created.created_at is not None
    assert client.registries.get("life") == created
    assert [each.id for each in client.registries.list()].count("life") == 1

    creds = client.registries.creds("life")
    assert (creds.username, creds.password, creds.expires) == ("robot", Secret("hunter2"), END)

    changed = client.registries.update("life", {"enable_ci": True}, if_match=created.etag)
    assert changed.enable_ci is True
    with pytest.raises(PreconditionFailed):
        client.registries.update("life", {"enable_ci": False}, if_match=created.etag)
    with pytest.raises(PreconditionFailed):
        client.registries.delete("life", if_match=created.etag)
    client.registries.delete("life", if_match=changed.etag)
    with pytest.raises(NotFound):
        client.registries.get("life")


def test_what_is_wrong_with_a_record_is_told_field_by_field(client: Client) -> None:
    with pytest.raises(BadRequest) as raised:
        client.registries.create({"id": "Bad", "registry": "b.example", "type": "basic"})
    assert {problem.field for problem in raised.value.fields} == {"id", "creds"}
    assert raised.value.code == "invalid_fields"
    assert raised.value.request_id


def test_a_taken_id(client: Client) -> None:
    client.registries.create({"id": "taken", "registry": "taken.example", "type": "public"})
    with pytest.raises(Conflict):
        client.registries.create({"id": "taken", "registry": "free.example", "type": "public"})


def test_pages_hold_what_the_list_holds(client: Client) -> None:
    for number in range(5):
        host = f"page{number}.example"
        client.registries.create({"id": f"page-{number}", "registry": host, "type": "public"})
    listed = [record.id for record in client.registries.list()]
    assert len(listed) >= 5
    for per_page in (1, 2, 100):
        assert sorted(record.id for record in client.registries.iterate(per_page)) == sorted(listed)


def test_images_and_hosts(client: Client) -> None:
    client.registries.create(basic("images-all", "images.example"))
    client.registries.create(basic("images-team", "images.example/team"))
    found = client.image_creds("images.example/team/app:1")
    assert (found.id, found.type, found.password) == ("images-team", "basic", Secret("hunter2"))
    assert client.host_creds("images.example").id == "images-all"
    for ask in (client.image_creds, client.host_creds):
        with pytest.raises(NotFound) as raised:
            ask("nowhere.example/app")
        assert raised.value.code == "no_match"

    matches = client.registries.match(
        ["images.example/team/app:1", "nowhere.example/app", "Not An Image"]
    )
    first, second, third = matches.results
    assert first.match is not None
    assert first.match.id == "images-team"
    assert [candidate.id for candidate in first.candidates] == ["images-all"]
    assert first.reference is not None
    assert (first.reference.repository, first.reference.tag) == ("team/app", "1")
    assert first.reason
    assert (second.match, matches.unmatched) == (None, ("nowhere.example/app",))
    assert (third.code, matches.malformed) == ("invalid_image_reference", ("Not An Image",))


def test_an_ambiguous_host_names_its_prefixes(client: Client) -> None:
    client.registries.create(basic("amb-a", "amb.example/a"))
    client.registries.create(basic("amb-b", "amb.example/b"))
    with pytest.raises(NotFound) as raised:
        client.host_creds("amb.example")
    assert raised.value.code == "ambiguous_host"
    assert raised.value.details == {"prefixes": ["amb.example/a", "amb.example/b"], "total": 2}


def test_users_and_their_tokens(connect: Connect, client: Client, pullpass: PullpassServer) -> None:
    user = client.users.create("eu", "cluster", cluster="eu-1")
    assert client.users.get(user.id) == user
    assert user in client.users.list()
    issued = client.tokens.create(user.id, "first", description="For tests", expires_at=END)
    (info,) = client.tokens.list(user.id)
    assert (info.id, info.description, info.expires_at) == ("first", "For tests", END)
    assert client.tokens.get(user.id, "first") == info

    with connect(pullpass.url, "acme", issued.token) as theirs:
        profile = theirs.current_user()
        assert (profile.id, profile.roles) == (user.id, {"/orgs/acme": "cluster"})
        with pytest.raises(Forbidden):
            theirs.registries.delete("whatever")
        client.tokens.delete(user.id, "first")
        with pytest.raises(Unauthenticated):
            theirs.current_user()

    assert client.users.update(user.id, "reader").role == "reader"
    client.users.delete(user.id)
    with pytest.raises(NotFound):
        client.users.get(user.id)


def test_oneself_and_ones_organizations(client: Client) -> None:
    assert client.update_current_user(name="Root").name == "Root"
    assert client.current_user().name == "Root"
    assert [organization.id for organization in client.organizations()] == ["acme"]
    assert client.organization().id == "acme"


def test_a_clusters_report_and_who_waits_for_changes(client: Client) -> None:
    problem = Problem("team-a", "conflict", "Somebody else's secret has the name.")
    registry = RegistryReport("ghcr", 3, 1, 1, (problem,), ("team-b", "team-c"))
    reported = client.clusters.report(
        "eu-1", version="1.0", mode="needed", revision=7, namespaces=4, registries=[registry]
    )
    assert client.clusters.get("eu-1") == reported
    assert (reported.connected, reported.failed, reported.registries) == (True, 1, (registry,))
    (listed,) = client.clusters.list()
    assert (listed.id, listed.secrets, listed.registries) == ("eu-1", 3, ())
    client.clusters.forget("eu-1")
    assert client.clusters.list() == ()

    start = client.changes()
    assert start is not None
    assert start.registries is None
    assert client.changes(start.revision, wait=1) is None
    client.registries.create(basic("waited-for", "waited-for.example"))
    assert client.changes(start.revision, wait=30) == Changes(
        start.revision + 1, frozenset({"waited-for"})
    )
