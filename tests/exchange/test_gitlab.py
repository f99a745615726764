"""Deploy tokens of GitLab: minted with the right and the end that were asked for, and revoked."""

from __future__ import annotations

import json
import logging
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import pytest

from pullpass.domain.credential import Credential, Secret
from pullpass.domain.errors import (
    ExchangeFailed,
    ExchangeRejected,
    ExchangeThrottled,
    ExchangeUnavailable,
)
from pullpass.exchange.exchanger import Source
from pullpass.exchange.gitlab import GitlabExchanger
from tests.exchange.sources import loopback_service, source
from tests.parts.gitlab import ApiToken, GitlabServer
from tests.parts.stand_in import GARBAGE, HUGE, failing, redirect, throttled
from tests.parts.wire import Scripted, answer

CANARY = "glpat-canary-3b9f"
PROJECT = {"project": "acme/shop/app"}


@pytest.fixture
def gitlab() -> Iterator[GitlabServer]:
    with GitlabServer() as server:
        server.api_tokens[CANARY] = ApiToken(
            {
                "projects/acme/shop/app": "Maintainer",
                "projects/17": "Maintainer",
                "groups/acme": "Owner",
            }
        )
        yield server


@pytest.fixture
def exchanger() -> GitlabExchanger:
    return GitlabExchanger(loopback_service())


def of(gitlab: GitlabServer, token: str = CANARY, **options: str) -> Source:
    return source(
        "gitlab_deploy_token",
        "registry.gitlab.example",
        Credential("bot", Secret(token)),
        **{"endpoint": gitlab.url, **(options or PROJECT)},
    )


@pytest.mark.parametrize(
    ("options", "holder", "scopes"),
    [
        (PROJECT, "projects/acme/shop/app", ("read_registry",)),
        ({"project": "17"}, "projects/17", ("read_registry",)),
        ({"group": "acme", "scope": "pull"}, "groups/acme", ("read_registry",)),
        ({"group": "acme", "scope": "push"}, "groups/acme", ("read_registry", "write_registry")),
    ],
    ids=str,
)
async def test_a_deploy_token_has_just_the_rights_that_are_asked_for(
    gitlab: GitlabServer,
    exchanger: GitlabExchanger,
    options: dict[str, str],
    holder: str,
    scopes: tuple[str, ...],
) -> None:
    issued = await exchanger.exchange(of(gitlab, **options), datetime.now(UTC))
    (made,) = gitlab.deploy_tokens.values()
    assert (made.holder, made.scopes) == (holder, scopes)
    assert gitlab.accepts(issued.credential.username, issued.credential.password.reveal())
    assert len(gitlab.calls) == 1


async def test_its_name_tells_whose_it_is(gitlab: GitlabServer, exchanger: GitlabExchanger) -> None:
    await exchanger.exchange(of(gitlab), datetime(2026, 11, 24, 4, 33, 29, tzinfo=UTC))
    (made,) = gitlab.deploy_tokens.values()
    assert made.name == "pullpass-tested-20261124T043329Z"


async def test_an_address_with_a_path_and_a_slash_is_taken(
    gitlab: GitlabServer, exchanger: GitlabExchanger
) -> None:
    await exchanger.exchange(of(gitlab, endpoint=gitlab.url + "/", **PROJECT), datetime.now(UTC))
    below = of(gitlab, endpoint=gitlab.url + "/gitlab/", **PROJECT)
    with pytest.raises(ExchangeRejected, match="404"):
        await exchanger.exchange(below, datetime.now(UTC))
    assert gitlab.calls[0].target == "/api/v4/projects/acme%2Fshop%2Fapp/deploy_tokens"
    assert gitlab.calls[1].target == "/gitlab/api/v4/projects/acme%2Fshop%2Fapp/deploy_tokens"


@pytest.mark.parametrize(
    ("options", "now", "ends"),
    [
        (PROJECT, "2026-11-24T04:33:29+00:00", "2026-12-02T00:00:00+00:00"),
        ({**PROJECT, "days": "1"}, "2026-11-24T23:59:59+00:00", "2026-11-26T00:00:00+00:00"),
        ({**PROJECT, "days": "1"}, "2026-11-24T00:00:00+00:00", "2026-11-25T00:00:00+00:00"),
        ({**PROJECT, "days": "365"}, "2026-11-24T23:30:00-01:00", "2027-11-26T00:00:00+00:00"),
    ],
    ids=["a week", "just before midnight", "at midnight", "a year, from another time zone"],
)
async def test_it_ends_at_the_midnight_utc_after_the_days(
    gitlab: GitlabServer,
    exchanger: GitlabExchanger,
    options: dict[str, str],
    now: str,
    ends: str,
) -> None:
    moment = datetime.fromisoformat(now)
    gitlab.skew = moment.timestamp() - datetime.now(UTC).timestamp()
    issued = await exchanger.exchange(of(gitlab, **options), moment)
    (made,) = gitlab.deploy_tokens.values()
    assert made.expires == datetime.fromisoformat(ends)
    assert abs(issued.expires - made.expires) <= timedelta(seconds=5)


@pytest.mark.parametrize("skew", [-300, 0, 300])
async def test_its_end_is_told_by_our_clock(
    gitlab: GitlabServer, exchanger: GitlabExchanger, skew: int
) -> None:
    gitlab.skew = skew
    gitlab.lifetime = 1200
    now = datetime.now(UTC)
    issued = await exchanger.exchange(of(gitlab), now)
    assert abs((issued.expires - now).total_seconds() - 1200) <= 5


async def test_a_clock_of_another_age_makes_no_token_live_longer(
    gitlab: GitlabServer, exchanger: GitlabExchanger
) -> None:
    gitlab.skew = timedelta(days=-3650).total_seconds()
    now = datetime.now(UTC)
    issued = await exchanger.exchange(of(gitlab), now)
    assert issued.expires - now <= timedelta(days=8, minutes=5)


async def test_an_end_that_is_not_told_is_the_one_asked_for(
    gitlab: GitlabServer, exchanger: GitlabExchanger
) -> None:
    made = {"id": 7, "username": "deploy", "token": "gldt-1", "expires_at": None}
    now = datetime.now(UTC)
    for expires_at in (None, "soon", "9999-12-31", 5):
        gitlab.fault = answer({**made, "expires_at": expires_at}, 201)
        issued = await exchanger.exchange(of(gitlab), now)
        assert timedelta(days=7) - timedelta(minutes=1) <= issued.expires - now < timedelta(days=8)


async def test_a_replaced_token_is_revoked_and_once_is_enough(
    gitlab: GitlabServer, exchanger: GitlabExchanger
) -> None:
    origin = of(gitlab, group="acme")
    old = await exchanger.exchange(origin, datetime.now(UTC))
    new = await exchanger.exchange(origin, datetime.now(UTC))
    assert old.handle is not None
    await exchanger.revoke(origin, old.handle)
    await exchanger.revoke(origin, old.handle)
    assert not gitlab.accepts(old.credential.username, old.credential.password.reveal())
    assert gitlab.accepts(new.credential.username, new.credential.password.reveal())


async def test_a_revocation_that_is_refused_says_so(
    gitlab: GitlabServer, exchanger: GitlabExchanger
) -> None:
    origin = of(gitlab)
    issued = await exchanger.exchange(origin, datetime.now(UTC))
    assert issued.handle is not None
    gitlab.api_tokens.clear()
    with pytest.raises(ExchangeRejected, match="401"):
        await exchanger.revoke(origin, issued.handle)
    assert len(gitlab.deploy_tokens) == 1


async def test_an_api_token_goes_to_no_other_gitlab_than_its_records(
    gitlab: GitlabServer, exchanger: GitlabExchanger
) -> None:
    issued = await exchanger.exchange(of(gitlab), datetime.now(UTC))
    assert issued.handle is not None
    with GitlabServer() as other, pytest.raises(ExchangeRejected, match="another GitLab"):
        await exchanger.revoke(of(other), issued.handle)
    assert (len(gitlab.calls), len(other.calls)) == (1, 0)


@pytest.mark.parametrize(
    ("rights", "options", "says"),
    [
        (ApiToken({}), PROJECT, r"no project 'acme/shop/app'.*404.*Maintainer"),
        (ApiToken({}), {"group": "acme"}, r"no group 'acme'.*404.*Owner"),
        (ApiToken({"projects/17": "Developer"}), {"project": "17"}, "403.*'api'.*Maintainer"),
        (ApiToken({"groups/acme": "Maintainer"}), {"group": "acme"}, "403.*'api'.*Owner"),
        (ApiToken({"groups/acme": "Owner"}, ("read_api",)), {"group": "acme"}, "403.*'api'"),
    ],
    ids=["project", "group", "developer", "no owner", "no api scope"],
)
async def test_a_missing_right_is_named(
    gitlab: GitlabServer,
    exchanger: GitlabExchanger,
    rights: ApiToken,
    options: dict[str, str],
    says: str,
) -> None:
    gitlab.api_tokens[CANARY] = rights
    with pytest.raises(ExchangeRejected, match=says):
        await exchanger.exchange(of(gitlab, **options), datetime.now(UTC))
    assert gitlab.deploy_tokens == {}


async def test_a_wrong_api_token_is_rejected(
    gitlab: GitlabServer, exchanger: GitlabExchanger
) -> None:
    with pytest.raises(ExchangeRejected, match=r"API token \(401\)"):
        await exchanger.exchange(of(gitlab, "glpat-wrong"), datetime.now(UTC))


@pytest.mark.parametrize(
    ("fault", "kind", "says"),
    [
        (answer({"error": f"scopes {CANARY}"}, 400), ExchangeRejected, "options.scope"),
        (answer({"message": CANARY}, 422), ExchangeRejected, "422"),
        (throttled(7), ExchangeThrottled, "too often"),
        (failing(502), ExchangeUnavailable, "502"),
        (GARBAGE, ExchangeUnavailable, "not a JSON object"),
        (HUGE, ExchangeUnavailable, "more than it should"),
        (redirect("http://127.0.0.1:9/"), ExchangeUnavailable, "redirect"),
        (answer({"message": CANARY}), ExchangeUnavailable, "without a deploy token"),
        (answer([CANARY]), ExchangeUnavailable, "not a JSON object"),
        (
            answer(
                {"id": 1, "username": "a", "token": CANARY, "expires_at": "0001-01-01T00:00:00Z"}
            ),
            ExchangeUnavailable,
            "ended already",
        ),
    ],
    ids=lambda value: str(value)[:30],
)
async def test_what_gitlab_gets_wrong_is_told_without_any_secret(
    gitlab: GitlabServer,
    exchanger: GitlabExchanger,
    caplog: pytest.LogCaptureFixture,
    fault: Scripted,
    kind: type[ExchangeFailed],
    says: str,
) -> None:
    caplog.set_level(logging.DEBUG)
    gitlab.fault = fault
    with pytest.raises(kind, match=says) as caught:
        await exchanger.exchange(of(gitlab), datetime.now(UTC))
    assert len(gitlab.calls) == 1
    told = [str(caught.value), repr(caught.value), repr(caught.value.details), caplog.text]
    assert CANARY not in " ".join(told)


async def test_throttling_says_when_to_try_again(
    gitlab: GitlabServer, exchanger: GitlabExchanger
) -> None:
    gitlab.fault = throttled(7)
    with pytest.raises(ExchangeThrottled) as caught:
        await exchanger.exchange(of(gitlab), datetime.now(UTC))
    assert caught.value.retry_after in (6, 7)


async def test_an_outage_is_no_rejection(gitlab: GitlabServer, exchanger: GitlabExchanger) -> None:
    gitlab.stop()
    with pytest.raises(ExchangeUnavailable):
        await exchanger.exchange(of(gitlab), datetime.now(UTC))
    gitlab.start()
    await exchanger.exchange(of(gitlab), datetime.now(UTC))


async def test_an_internal_address_is_refused_unless_allowed(gitlab: GitlabServer) -> None:
    exchanger = GitlabExchanger(loopback_service(allowed=""))
    with pytest.raises(ExchangeRejected, match="PULLPASS_ALLOW_NETWORKS"):
        await exchanger.exchange(of(gitlab), datetime.now(UTC))
    assert gitlab.calls == []


async def test_what_is_issued_shows_no_secret(
    gitlab: GitlabServer, exchanger: GitlabExchanger
) -> None:
    issued = await exchanger.exchange(of(gitlab), datetime.now(UTC))
    assert issued.credential.password.reveal() not in repr(issued)
    assert json.loads(gitlab.calls[0].body)["scopes"] == ["read_registry"]
    assert CANARY.encode() not in gitlab.calls[0].body
    assert CANARY not in gitlab.calls[0].target


def test_one_token_serves_every_host_of_its_project() -> None:
    exchanger = GitlabExchanger(loopback_service())
    assert exchanger.scope("registry.gitlab.com") == exchanger.scope("registry.example") == ""
