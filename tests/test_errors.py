"""Every error that is raised on purpose has a status, a stable code, and one body."""

from __future__ import annotations

import importlib
import json
import pkgutil
import re
from collections.abc import Iterator

import pytest

import pullpass
from pullpass.api import token_exchange
from pullpass.api.errors import BodyTooLarge, BodyTooSlow, error_response, status_of
from pullpass.domain import errors
from pullpass.domain.errors import FieldProblem, PullpassError
from pullpass.sealing.audit_key import AuditKeyMissing
from pullpass.sealing.envelope import MasterKeyUnavailable
from pullpass.sealing.keyring import SealBroken
from pullpass.sealing.master_key import MasterKeyError
from pullpass.server.backups import BackupFile
from pullpass.server.main import CannotListen
from pullpass.server.settings import SettingsError
from pullpass.store.backup import BackupDamaged, DatabaseNotEmpty, SchemaTooOld
from pullpass.store.engine import NoDatabase
from pullpass.store.migrations import SchemaTooNew

STATUS: dict[type[PullpassError], int] = {
    errors.InvalidInput: 400,
    errors.InvalidFields: 400,
    errors.InvalidImageReference: 400,
    errors.InvalidRegistryPrefix: 400,
    errors.ExchangeRequestRefused: 400,
    BodyTooLarge: 413,
    BodyTooSlow: 408,
    errors.Unauthenticated: 401,
    errors.Forbidden: 403,
    errors.BuiltinRecord: 403,
    errors.NotFound: 404,
    errors.Conflict: 409,
    errors.PreconditionFailed: 412,
    errors.TooManyAttempts: 429,
    errors.RateLimited: 429,
    errors.ExchangeFailed: 502,
    errors.ExchangeRejected: 502,
    errors.ExchangeThrottled: 502,
    errors.ExchangeUnavailable: 502,
    errors.Unavailable: 503,
    errors.StoreUnavailable: 503,
    MasterKeyUnavailable: 503,
    # These say that the installation is damaged: nothing a caller can mend.
    SealBroken: 500,
    MasterKeyError: 500,
}
# Raised on the server's machine, where there is no answer.
AT_START: set[type[PullpassError]] = {
    AuditKeyMissing,
    BackupDamaged,
    BackupFile,
    CannotListen,
    DatabaseNotEmpty,
    NoDatabase,
    SchemaTooNew,
    SchemaTooOld,
    SettingsError,
}


def all_errors(kind: type[PullpassError] = PullpassError) -> Iterator[type[PullpassError]]:
    for child in kind.__subclasses__():
        yield child
        yield from all_errors(child)


def an_error(kind: type[PullpassError]) -> PullpassError:
    if kind is errors.InvalidFields:
        return errors.InvalidFields([FieldProblem("id", "is bad", "something good")])
    if kind is errors.InvalidRegistryPrefix:
        return errors.InvalidRegistryPrefix("is bad", "something good")
    return kind("Something to act on.")


def test_no_error_was_forgotten() -> None:
    for module in pkgutil.walk_packages(pullpass.__path__, "pullpass."):
        if "migrations.env" not in module.name:
            importlib.import_module(module.name)
    assert set(all_errors()) == STATUS.keys() | AT_START


@pytest.mark.parametrize("kind", STATUS, ids=lambda kind: str(kind.__name__))
def test_every_error_has_its_status_and_the_one_body(kind: type[PullpassError]) -> None:
    error = an_error(kind)
    answer = error_response(error)
    assert answer.status_code == status_of(error) == STATUS[kind]
    body = json.loads(bytes(answer.body))
    assert body.keys() <= {"error", "code", "details"}
    assert re.fullmatch(r"[a-z][a-z_]+", body["code"])
    assert body["error"].endswith(".")
    assert ("www-authenticate" in answer.headers) == (answer.status_code == 401)
    assert ("retry-after" in answer.headers) == (answer.status_code in (429, 503))


@pytest.mark.parametrize("kind", STATUS, ids=lambda kind: str(kind.__name__))
def test_every_error_has_an_oauth_body_for_a_token_exchange(kind: type[PullpassError]) -> None:
    """The one exception from the one body: RFC 6749 has a code in `error`."""
    plain = error_response(an_error(kind))
    answer = token_exchange.refuse(an_error(kind))
    assert answer.status_code == STATUS[kind]
    body = json.loads(bytes(answer.body))
    assert body.keys() == {"error", "error_description", "code"}
    assert re.fullmatch(r"[a-z][a-z_]+", body["error"])
    assert body["code"] == an_error(kind).code
    assert body["error_description"] == json.loads(bytes(plain.body))["error"]
    assert ("retry-after" in answer.headers) == (answer.status_code in (429, 503))
    assert answer.headers["cache-control"] == "no-store"


def test_a_500_says_nothing_of_the_inside() -> None:
    answer = error_response(SealBroken("The stored creds of 'ghcr' do not open."))
    assert "ghcr" not in json.loads(bytes(answer.body))["error"]


def test_codes_are_not_shared_by_errors_of_different_status() -> None:
    codes: dict[str, int] = {}
    for kind, status in STATUS.items():
        assert codes.setdefault(kind.default_code, status) == status
