"""GitLab: an API token mints deploy tokens for the registry, and ends those that are replaced.

https://docs.gitlab.com/api/deploy_tokens/ and https://docs.gitlab.com/user/project/deploy_tokens/
"""

from __future__ import annotations

from datetime import UTC, datetime, time, timedelta
from urllib.parse import quote

from pullpass.domain.credential import Credential, Secret
from pullpass.domain.errors import ExchangeRejected, ExchangeUnavailable
from pullpass.exchange.exchanger import Issued, Source
from pullpass.exchange.token_service import ServiceAnswer, TokenService
from pullpass.exchange.upstream import Outgoing

_DAYS = 7
_SCOPES = {
    "pull": ("read_registry",),
    # "You need both read and write access to push images."
    "push": ("read_registry", "write_registry"),
}
_ONE_DAY = timedelta(days=1)
_SKEW = timedelta(minutes=5)


class GitlabExchanger:
    """Deploy tokens of the project or group that the options name."""

    def __init__(self, service: TokenService) -> None:
        self._service = service

    def scope(self, host: str) -> str:
        """A token is for a project or group, which its record's options name already."""
        return ""

    async def exchange(self, source: Source, now: datetime) -> Issued:
        """As :meth:`Exchanger.exchange`. The token lives for ``options.days`` and to the end of
        the day: GitLab compares with the time in one place and with the date in another, and at
        midnight UTC both agree. A token whose answer is lost stays until then; its name tells
        that it is Pullpass's, and of which record.
        """
        ends = _midnight_after(now + timedelta(days=int(source.option("days") or _DAYS)))
        url = _deploy_tokens(source)
        answer = await self._service.post_json(
            "GitLab",
            url,
            {
                "name": f"pullpass-{source.record.id}-{now.astimezone(UTC):%Y%m%dT%H%M%SZ}",
                "scopes": _SCOPES[source.option("scope") or "pull"],
                "expires_at": f"{ends:%Y-%m-%dT%H:%M:%SZ}",
            },
            _authorization(source),
        )
        if answer.status not in (200, 201):
            raise ExchangeRejected(_refusal(source, answer.status))
        username, token, token_id = answer.text("username"), answer.text("token"), _id(answer)
        if not (username and token and token_id):
            raise ExchangeUnavailable("GitLab answers without a deploy token.")
        life = (min(ends, _expires_at(answer) or ends) - now).total_seconds() - answer.skew(now)
        if life <= 0:
            raise ExchangeUnavailable(
                "GitLab gives a deploy token that has ended already. Compare its clock with this "
                "server's."
            )
        # However far behind a clock is said to be, no token is trusted for much longer than asked.
        expires = now + min(timedelta(seconds=life), ends - now + _SKEW)
        return Issued(Credential(username, Secret(token), expires), handle=f"{url}/{token_id}")

    async def revoke(self, source: Source, handle: str) -> None:
        """Delete the deploy token, with the API token that ``source`` holds. One that is gone
        already is fine.
        """
        if not handle.startswith(_api(source) + "/"):
            raise ExchangeRejected(
                "The deploy token is another GitLab's than the record's. It stays until it ends."
            )
        outgoing = Outgoing("DELETE", _authorization(source))
        answer = await self._service.call("GitLab", handle, outgoing)
        if answer.status >= 400 and answer.status != 404:
            raise ExchangeRejected(_refusal(source, answer.status))


def _authorization(source: Source) -> dict[str, str]:
    if source.creds is None:
        raise ExchangeRejected("The record holds no API token, and GitLab knows no other way.")
    return {"PRIVATE-TOKEN": source.creds.password.reveal()}


def _api(source: Source) -> str:
    return f"{(source.option('endpoint') or '').rstrip('/')}/api/v4"


def _holder(source: Source) -> tuple[str, str]:
    """Whose tokens: `project` or `group`, and its id or path."""
    project = source.option("project")
    return ("group", source.option("group") or "") if project is None else ("project", project)


def _deploy_tokens(source: Source) -> str:
    kind, name = _holder(source)
    # https://docs.gitlab.com/api/rest/#namespaced-paths
    return f"{_api(source)}/{kind}s/{quote(name, safe='')}/deploy_tokens"


def _midnight_after(moment: datetime) -> datetime:
    """The first midnight UTC that is not before ``moment``."""
    utc = moment.astimezone(UTC)
    midnight = datetime.combine(utc.date(), time(), UTC)
    return midnight if midnight == utc else midnight + _ONE_DAY


def _id(answer: ServiceAnswer) -> int:
    value = answer.fields.get("id")
    return value if isinstance(value, int) else 0


def _expires_at(answer: ServiceAnswer) -> datetime | None:
    try:
        moment = datetime.fromisoformat(answer.text("expires_at"))
    except ValueError:
        return None
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)


def _refusal(source: Source, status: int) -> str:
    kind, name = _holder(source)
    needs = f"the scope 'api' and the role {'Maintainer' if kind == 'project' else 'Owner'} in it"
    if status == 400:
        return (
            "GitLab refuses what was asked for (400). Check options.scope and options.days, and "
            "that this GitLab is of version 12.9 or later."
        )
    if status == 401:
        return (
            "GitLab refuses the API token (401): it is wrong, has ended or was revoked. Store a "
            f"new one. For the {kind} '{name}' it needs {needs}."
        )
    if status == 403:
        return (
            f"The API token may not manage the deploy tokens of the {kind} '{name}' in GitLab "
            f"(403). It needs {needs}."
        )
    if status == 404:
        return (
            f"GitLab has no {kind} '{name}', or the API token may not see it (404). Check "
            f"options.{kind} and options.endpoint. The token needs {needs}."
        )
    return f"GitLab refuses the request for a deploy token ({status})."
