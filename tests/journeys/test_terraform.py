"""Terraform's `humanitec_registry` against Pullpass, as the provider's source has it."""

from __future__ import annotations

import json
from collections.abc import Iterator

import pytest

from pullpass.client import Client
from tests.parts.server import PullpassServer
from tests.parts.terraform import Block, ProviderError, Terraform

COPIED: Block = {
    "id": "copied",
    "registry": "copied.example",
    "type": "secret_ref",
    "enable_ci": False,
    "secrets": {
        "cluster-a": {"namespace": "example-namespace", "secret": "registry"},
        "cluster-b": {"namespace": "example-namespace", "secret": "registry"},
    },
}
AMAZON: Block = {
    "id": "amazon",
    "registry": "123456789012.dkr.ecr.eu-west-1.amazonaws.com",
    "type": "amazon_ecr",
    "enable_ci": False,
    "creds": {
        "username": "AKIAIOSFODNN7EXAMPLE",
        "password": "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY",
    },
}
BASIC: Block = {
    "id": "basic",
    "registry": "Basic.Example/team",
    "type": "basic",
    "enable_ci": False,
    "creds": {"username": "robot", "password": 'p<&>"ä\\'},
}
BOTH: Block = BASIC | {"id": "both", "registry": "both.example", "secrets": COPIED["secrets"]}
RECORDS = [COPIED, AMAZON, BASIC, BOTH]


@pytest.fixture
def client(pullpass: PullpassServer) -> Iterator[Client]:
    """Somebody else, who is not Terraform."""
    with Client(pullpass.url, "acme", pullpass.admin_token) as client:
        yield client
        for record in client.registries.list():
            if record.id != "company":
                client.registries.delete(record.id)


@pytest.fixture
def terraform(pullpass: PullpassServer, client: Client) -> Terraform:
    return Terraform(pullpass.url, "acme", pullpass.admin_token)


@pytest.mark.parametrize("config", RECORDS, ids=lambda config: str(config["id"]))
def test_create_read_import_update_in_place_and_delete(
    terraform: Terraform, pullpass: PullpassServer, config: Block
) -> None:
    assert terraform.apply(config) == "created"
    assert terraform.plan(config) == []
    assert terraform.apply(config) == "nothing"

    imported = Terraform(pullpass.url, "acme", pullpass.admin_token)
    imported.import_(config["id"])
    # No answer has creds: the provider's own tests ignore them in an imported state, too.
    assert imported.state == {name: config[name] for name in config if name != "creds"}

    changed = config | {"enable_ci": True}
    assert terraform.apply(changed) == "updated"
    assert terraform.plan(changed) == []

    terraform.destroy()
    assert terraform.plan(config) == list(config)
    assert [method for method, _, _ in terraform.sent] == [
        *("POST", "GET", "GET", "GET", "PATCH", "GET", "DELETE"),
    ]


def test_an_update_sends_all_and_loses_nothing(terraform: Terraform, client: Client) -> None:
    terraform.apply(BOTH)
    moved = BOTH | {
        "registry": "Both.Example/elsewhere",
        "secrets": {"*": {"namespace": "other", "secret": "other.secret"}},
        "creds": {"username": "robot2", "password": "another"},
    }
    assert terraform.apply(moved) == "updated"
    method, _, body = terraform.sent[-1]
    assert method == "PATCH"
    assert json.loads(body) == moved
    creds = client.registries.creds("both")
    assert creds.password is not None
    assert (creds.username, creds.password.reveal()) == ("robot2", "another")
    assert client.registries.get("both").registry == "Both.Example/elsewhere"
    assert client.image_creds("both.example/elsewhere/app").id == "both"


def test_a_password_arrives_as_it_was_written(terraform: Terraform, client: Client) -> None:
    terraform.apply(BASIC)
    assert b"\\u003c\\u0026\\u003e" in terraform.sent[-1][2]
    creds = client.registries.creds("basic")
    assert creds.password is not None
    assert creds.password.reveal() == BASIC["creds"]["password"]


def test_a_new_password_alone_is_an_update_in_place(terraform: Terraform, client: Client) -> None:
    terraform.apply(BASIC)
    rotated = BASIC | {"creds": {"username": "robot", "password": "rotated"}}
    assert terraform.apply(rotated) == "updated"
    creds = client.registries.creds("basic")
    assert creds.password is not None
    assert creds.password.reveal() == "rotated"


def test_drift_is_seen_and_put_right(terraform: Terraform, client: Client) -> None:
    terraform.apply(BOTH)
    client.registries.update("both", {"enable_ci": True})
    assert terraform.plan(BOTH) == ["enable_ci"]
    client.registries.update(
        "both",
        {
            "registry": "BOTH.example",
            "secrets": {"*": {"namespace": "somewhere", "secret": "else"}},
        },
    )
    # Another way to write the same registry is a difference, too: it is compared literally.
    assert terraform.plan(BOTH) == ["registry", "enable_ci", "secrets"]
    assert terraform.apply(BOTH) == "updated"
    assert terraform.plan(BOTH) == []


def test_a_record_that_was_deleted_is_created_again(terraform: Terraform, client: Client) -> None:
    terraform.apply(COPIED)
    client.registries.delete("copied")
    assert terraform.plan(COPIED) == list(COPIED)
    assert terraform.state is None
    assert terraform.apply(COPIED) == "created"


def test_another_type_replaces_the_record(terraform: Terraform) -> None:
    terraform.apply(BASIC)
    assert terraform.apply(COPIED | {"id": "basic"}) == "replaced"
    assert [method for method, _, _ in terraform.sent] == ["POST", "GET", "DELETE", "POST"]


def test_what_is_refused_fails_the_apply_with_the_sentence(
    terraform: Terraform, pullpass: PullpassServer, client: Client
) -> None:
    terraform.apply(BASIC)
    other = Terraform(pullpass.url, "acme", pullpass.admin_token)
    with pytest.raises(ProviderError, match="'basic'") as raised:
        other.apply(BASIC)
    assert raised.value.status == 409
    with pytest.raises(ProviderError, match=r"creds.+is missing") as raised:
        other.apply({"id": "nothing", "registry": "n.example", "type": "basic"})
    assert raised.value.status == 400

    builtin = Terraform(pullpass.url, "acme", pullpass.admin_token)
    builtin.import_("company")
    assert builtin.state is not None
    with pytest.raises(ProviderError, match="builtin_record") as raised:
        builtin.apply(builtin.state | {"enable_ci": True})
    assert raised.value.status == 403
    with pytest.raises(ProviderError) as raised:
        builtin.destroy()
    assert raised.value.status == 403

    client.registries.delete("basic")
    with pytest.raises(ProviderError) as raised:
        terraform.destroy()
    assert raised.value.status == 404


def test_enable_ci_has_to_be_written_out(terraform: Terraform) -> None:
    """The page says so: what is not in the plan must not be in the state, and it always is."""
    absent = {name: value for name, value in BASIC.items() if name != "enable_ci"}
    with pytest.raises(AssertionError, match="'enable_ci': False"):
        terraform.apply(absent)
