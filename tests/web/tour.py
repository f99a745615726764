"""A walk through every page of a furnished organization: for axe, and for screenshots."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable
from dataclasses import dataclass

from pullpass.client.clusters import Problem, RegistryReport
from pullpass.client.sync import Client
from tests.parts.api_client import ApiClient
from tests.parts.server import PullpassServer
from tests.web.person import Person


@dataclass(frozen=True, slots=True)
class Stop:
    """A page, and how one gets to the state of it that is to be looked at."""

    name: str
    visit: Callable[[Person], None]


def furnish(server: PullpassServer, registry: str) -> None:
    """Records of several kinds and health, users and tokens. ``registry`` is a real one with the
    user `robot`.
    """
    basic = {"username": "robot", "password": "the registry's password"}
    ends = {**basic, "expires": "2030-01-31T00:00:00Z"}
    aws = {"username": "AKIAIOSFODNN7EXAMPLE", "password": "wJalrXUtnFEMIK7MDENGbPxRfiCYEXAMPLEKEY"}
    records: list[dict[str, object]] = [
        {"id": "docker-hub", "registry": "docker.io", "type": "basic", "creds": basic},
        {"id": "ghcr", "registry": "ghcr.io/acme", "type": "basic", "creds": ends},
        {
            "id": "ecr-production",
            "registry": "123456789012.dkr.ecr.eu-west-1.amazonaws.com",
            "type": "amazon_ecr",
            "creds": aws,
            "options": {"role_arn": "arn:aws:iam::123456789012:role/puller"},
        },
        {"id": "mirror", "registry": "mirror.gcr.io", "type": "public"},
        {
            "id": "onsite",
            "registry": "onsite.example.com",
            "type": "secret_ref",
            "secrets": {"*": {"namespace": "infra", "secret": "onsite"}},
        },
        {"id": "office", "registry": registry, "type": "basic", "creds": basic, "enable_ci": True},
        {
            "id": "office-team",
            "registry": f"{registry}/team",
            "type": "basic",
            "creds": {**basic, "password": "not it"},
        },
    ]
    with ApiClient(server) as client:
        for record in records:
            assert client.call("POST", "registries", json=record).status_code == 201
        for checked in ("office", "office-team", "office"):
            client.call("POST", f"registries/{checked}/actions/check")
        for name, role in (("build pipeline", "ci"), ("Jo Trigg", "editor")):
            kind = "user" if role == "editor" else "service"
            user = {"name": name, "role": role, "type": kind, "email": f"{role}@example.com"}
            made = client.call("POST", "users", json=user).json()["id"]
            token = {"id": "first", "type": "static", "description": f"For {name}"}
            client.call("POST", f"/users/{made}/tokens", json=token)
        rule = {
            "id": "shop-ci",
            "issuer": "https://token.actions.githubusercontent.com",
            "claims": {"repository": ["acme/shop"], "ref": ["refs/heads/main", "refs/tags/**"]},
            "role": "ci",
        }
        assert client.call("POST", "trust-rules", json=rule).status_code == 201
    report_clusters(server)


def report_clusters(server: PullpassServer) -> None:
    """One cluster where all is well, and one that is behind and has trouble."""
    taken = [
        Problem(namespace, "secret_taken", "Another secret has the name regcred-office.")
        for namespace in ("checkout", "payments")
    ]
    well = [
        RegistryReport("docker-hub", 9, 0, 0, held_in=("billing", "checkout", "web")),
        RegistryReport("office", 4, 0, 0, held_in=("billing", "checkout", "payments", "web")),
    ]
    trouble = [
        RegistryReport("ghcr", 1, 1, 0, held_in=("web",)),
        RegistryReport("office", 2, 1, 2, tuple(taken), held_in=("billing", "web")),
    ]
    with Client(server.url, server.organization, server.admin_token) as client:
        changes = client.changes()
        newest = 0 if changes is None else changes.revision
        for name, behind, registries in (("eu-1", 0, well), ("us-1", 2, trouble)):
            client.clusters.report(
                name,
                version="0.1.0",
                mode="needed",
                revision=newest - behind,
                namespaces=12,
                registries=registries,
            )


def _page(path: str) -> Callable[[Person], None]:
    return lambda person: person.go(path)


def _wrong_form(person: Person) -> None:
    person.go("/new-registry/other")
    person.fill("Registry", "registry.example.com/-")
    person.press("Check and save")
    person.sees("Nothing was saved yet.")


def _failed_check(person: Person) -> None:
    person.go("/registries/office-team")
    person.press("Check now")
    person.sees("It does not work")


def _stale_edit(person: Person) -> None:
    person.go("/registries/mirror/edit")
    person.page.eval_on_selector("[name=version]", "field => { field.value = '0'; }")
    person.fill("Registry", "mirror.example.com")
    person.press("Save without a check")
    person.sees("Somebody else changed this record meanwhile.")


def _images(person: Person) -> None:
    person.go("/images")
    with ApiClient(person.server) as client:
        records = client.call("GET", "registries").json()
    office = next(record["registry"] for record in records if record["id"] == "office")
    person.fill(
        "Images",
        "spec:\n  containers:\n"
        f"    - image: {office}/team/app:1\n"
        f"    - image: ghcr.io/acme/shop@sha256:{'0' * 64}\n"
        "    - image: quay.io/nobody/tool\n"
        "    - image: ghcr.io/acme/UPPER\n",
    )
    person.press("Look up")
    person.sees("not understood.")


def _revealed(person: Person) -> None:
    person.go("/registries/office/credential")
    person.press("Show it")
    person.sees("Hide it")


def _user(person: Person) -> None:
    person.go("/users")
    person.follow("build pipeline")
    person.sees("Change the role")


def _new_token(person: Person) -> None:
    _user(person)
    # Another name at each visit.
    taken = person.page.get_by_role("row").count()
    person.page.locator("#token-id").fill(f"shown-{taken}")
    person.press("Make the token")
    person.sees("it is not shown again")


def _kept(person: Person) -> None:
    person.go("/new-registry/other")
    person.fill("Name", "late")
    person.fill("Registry", "late.example.com")
    person.fill("User name", "robot")
    person.page.context.clear_cookies(name="pullpass_session")
    person.press("Check and save")
    person.sees("hands out the right one")
    person.type_token(person.server.admin_token)
    person.sees("What you typed is back in it")


def _planned(person: Person) -> None:
    person.go("/import")
    login = base64.b64encode(b"robot:a password").decode()
    registries = ("registry.example.com/team", "docker.io", "onsite.example.com")
    auths = {registry: {"auth": login} for registry in registries}
    config = {"auths": auths, "credHelpers": {"eu.gcr.io": "gcloud"}}
    person.fill("Docker config or pull secret", json.dumps(config))
    person.press("Show the plan")
    person.sees("Nothing was stored yet")


def _stale_rule(person: Person) -> None:
    person.go("/trust/shop-ci")
    person.page.eval_on_selector("[name=version]", "field => { field.value = '0'; }")
    person.fill("Minutes that a token lives", "42")
    person.press("Change the rule")
    person.sees("Somebody else changed this rule meanwhile.")


def _tried_token(person: Person) -> None:
    person.go("/trust")
    person.fill("Identity token", "not.a.token")
    person.press("Try it")
    person.sees("The token is not taken")


STOPS = (
    Stop("registries", _page("/registries")),
    Stop("registries-failing", _page("/registries?health=failing")),
    Stop("registries-nothing", _page("/registries?q=nothing-like-it")),
    Stop("kinds", _page("/new-registry")),
    Stop("add-docker-hub", _page("/new-registry/docker-hub")),
    Stop("add-ecr", _page("/new-registry/ecr")),
    Stop("add-google", _page("/new-registry/google")),
    Stop("add-copied-secret", _page("/new-registry/copied-secret")),
    Stop("add-wrong", _wrong_form),
    Stop("record", _page("/registries/office")),
    Stop("record-exchanged", _page("/registries/ecr-production")),
    Stop("record-failing", _failed_check),
    Stop("edit", _page("/registries/ghcr/edit")),
    Stop("edit-stale", _stale_edit),
    Stop("edit-kept", _kept),
    Stop("import", _page("/import")),
    Stop("import-plan", _planned),
    Stop("delete", _page("/registries/mirror/delete")),
    Stop("reveal", _page("/registries/office/credential")),
    Stop("revealed", _revealed),
    Stop("images", _images),
    Stop("users", _page("/users")),
    Stop("user", _user),
    Stop("new-token", _new_token),
    Stop("trust", _page("/trust")),
    Stop("trust-tried", _tried_token),
    Stop("trust-rule", _page("/trust/shop-ci")),
    Stop("trust-stale", _stale_rule),
    Stop("clusters", _page("/clusters")),
    Stop("cluster", _page("/clusters/us-1")),
    Stop("cluster-nothing", _page("/clusters/us-1?q=nothing-like-it")),
    Stop("forget", _page("/clusters/us-1/forget")),
    Stop("audit", _page("/audit")),
    Stop("account", _page("/account")),
    Stop("not-found", _page("/registries/nothing-like-it")),
)
