"""Canaries: a secret in a client shows in no value, no error, no traceback and no log."""

from __future__ import annotations

import logging
import traceback
from collections.abc import Callable, Iterator

import pytest

from pullpass.client import Secret
from pullpass.client.models import RegistryFields
from pullpass.client.sync import Client
from tests.client.talk import Connect, Talk
from tests.parts.ports import free_port
from tests.parts.wire import Scripted, answer, refusal

PASSWORD = "canary-password-51c0"
TOKEN = "ppt_canary0token0e3b7"

RECORD = {"id": "ghcr", "registry": "ghcr.io", "type": "basic", "enable_ci": False}
CREDS = {"registry": "ghcr.io", "username": "bot", "password": PASSWORD}
FIELDS: RegistryFields = {
    "id": "ghcr",
    "registry": "ghcr.io",
    "type": "basic",
    "creds": {"username": "bot", "password": Secret(PASSWORD)},
}

# Answers that have the secret where none should be, too.
ANSWERS = [
    answer(CREDS),
    answer({"token": TOKEN, "type": "static"}),
    answer(CREDS | {"expires": PASSWORD}),
    answer(CREDS | {"username": [PASSWORD]}),
    Scripted(200, f'{{"password": "{PASSWORD}'.encode()),
    Scripted(200, PASSWORD.encode(), declared=500),
    Scripted(404, f"<html>{PASSWORD}</html>".encode()),
    Scripted(302, b"", {"Location": "http://127.0.0.1/"}),
    refusal(409, "registry_taken", "There is one."),
]

CALLS: list[Callable[[Client], object]] = [
    lambda client: client.registries.create(FIELDS),
    lambda client: client.registries.update("ghcr", FIELDS),
    lambda client: client.registries.creds("ghcr"),
    lambda client: client.image_creds("ghcr.io/a/b"),
    lambda client: client.tokens.create("u", "t"),
    lambda client: client.registry.post_orgs_org_id_registries(
        org_id="acme", registry_request=FIELDS
    ),
    lambda client: client.registry.get_orgs_org_id_registries_reg_id_creds(
        org_id="acme", reg_id="ghcr"
    ),
    lambda client: client.registries.create({**FIELDS, "options": {"x": object()}}),
]


@pytest.fixture(autouse=True)
def logged(caplog: pytest.LogCaptureFixture) -> Iterator[None]:
    """What every logger says, those of the HTTP libraries included."""
    caplog.set_level(logging.DEBUG)
    for name in ("httpx", "httpcore", "asyncio"):
        caplog.set_level(logging.DEBUG, logger=name)
    yield
    records = caplog.get_records("call")
    assert any(record.name.startswith("httpcore") for record in records)
    assert_absent("\n".join(record.getMessage() for record in records))


def assert_absent(text: str) -> None:
    for secret in (PASSWORD, TOKEN):
        assert secret not in text


def shown(error: BaseException) -> str:
    """The error in every way that a program prints one, with the variables of its own frames."""
    whole = traceback.TracebackException.from_exception(error, capture_locals=True)
    while error.__traceback__ is not None and "/pullpass/" not in whole.stack[0].filename:
        # The frames of the test hold the answers.
        whole.stack.pop(0)
    return "".join([*whole.format(), str(error), repr(error), repr(vars(error))])


@pytest.mark.parametrize("given", ANSWERS, ids=range(len(ANSWERS)))
def test_values_errors_and_logs(talk: Talk, given: Scripted) -> None:
    with talk(given, token=TOKEN) as (client, _):
        for call in CALLS:
            try:
                found = call(client)
            except Exception as error:
                assert_absent(shown(error))
            else:
                assert_absent(f"{found!r} {found} {vars(client)}")


def test_a_server_that_is_not_there(connect: Connect) -> None:
    with connect(f"http://127.0.0.1:{free_port()}", "acme", TOKEN, sleep=lambda _: None) as client:
        for call in CALLS:
            with pytest.raises(Exception) as raised:  # noqa: PT011
                call(client)
            assert_absent(shown(raised.value))


def test_no_value_can_be_taken_for_the_secret(talk: Talk) -> None:
    with talk(answer(CREDS)) as (client, _):
        found = client.registries.creds("ghcr")
    assert found.password is not None
    assert found.password.reveal() == PASSWORD
    assert PASSWORD not in f"{found.password} {found.password!r} %s" % found.password
