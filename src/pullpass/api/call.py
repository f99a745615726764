"""One call of an operation: who calls, with what, and the services that answer."""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING
from urllib.parse import parse_qs

import msgspec
from starlette.requests import Request
from starlette.responses import Response

from pullpass.api.errors import BodyTooLarge
from pullpass.broker.audit import AuditLog, Auditor
from pullpass.broker.checks import CheckService
from pullpass.broker.clusters import ClusterService
from pullpass.broker.credentials import CredentialService
from pullpass.broker.federation import FederationService
from pullpass.broker.identity import IdentityService
from pullpass.broker.records import RecordService
from pullpass.broker.sessions import Sessions
from pullpass.broker.trust import TrustService
from pullpass.domain.access import Caller
from pullpass.domain.errors import FieldProblem, InvalidFields, InvalidInput, Unauthenticated
from pullpass.domain.identity import Principal

if TYPE_CHECKING:
    from pullpass.api.metrics import Metrics
    from pullpass.broker.health import Health

MAX_BODY = 1024 * 1024
_MAX_PAGE = 100


@dataclass(frozen=True, slots=True)
class Services:
    """What the handlers may use; made once by the composition root."""

    records: RecordService
    credentials: CredentialService
    checks: CheckService
    clusters: ClusterService
    identity: IdentityService
    trust: TrustService
    federation: FederationService
    audit: Auditor
    audit_log: AuditLog
    sessions: Sessions
    health: Health
    metrics: Metrics


class Call:
    """A request on its way through a handler. ``principal`` and ``caller`` are there where the
    operation's access asks for them; asking for one that is not there is a programming error.
    """

    __slots__ = ("_caller", "_principal", "_query", "request", "services")

    def __init__(
        self,
        request: Request,
        services: Services,
        principal: Principal | None,
        caller: Caller | None,
    ) -> None:
        self.request = request
        self.services = services
        text: str = request.scope["query_string"].decode("latin-1")
        self._query = parse_qs(text, keep_blank_values=True) if text else {}
        self._principal = principal
        self._caller = caller

    @property
    def principal(self) -> Principal:
        if self._principal is None:
            raise LookupError("this operation is public: it has no principal")
        return self._principal

    @property
    def caller(self) -> Caller:
        if self._caller is None:
            raise LookupError("this operation is in no organization: it has no caller")
        return self._caller

    def path(self, name: str) -> str:
        return str(self.request.path_params[name])

    def query(self, name: str) -> str | None:
        """The query parameter, or None.

        Raises:
            InvalidFields: it is given more than once, or holds a NUL, which no parameter can mean
                and PostgreSQL would not even take.
        """
        values = self._query.get(name)
        if values is None:
            return None
        if len(values) > 1:
            raise InvalidFields([FieldProblem(name, "is given more than once", "one value")])
        if "\0" in values[0]:
            raise InvalidFields([FieldProblem(name, "holds a NUL character", "text without")])
        return values[0]

    def required_query(self, name: str, expected: str) -> str:
        value = self.query(name)
        if not value:
            raise InvalidFields([FieldProblem(name, "is missing from the query", expected)])
        return value

    def whole_query(self, name: str, most: int) -> int | None:
        """The query parameter as a whole number from 0 to ``most``, or None."""
        return self._number(name, 0, most, "a whole number")

    def _number(self, name: str, least: int, most: int, kind: str) -> int | None:
        text = self.query(name)
        if text is None:
            return None
        # isdecimal alone would take other scripts' digits; int alone refuses thousands of them.
        if text.isascii() and text.isdecimal() and len(text) <= 20 and least <= int(text) <= most:
            return int(text)
        expected = f"{kind} from {least} to {most}"
        raise InvalidFields([FieldProblem(name, f"is {text[:20]!a}", expected)])

    def page_size(self) -> int | None:
        """`per_page`, or None where the whole list is asked for."""
        return self._number("per_page", 1, _MAX_PAGE, "a number")

    async def body(self, *, optional: bool = False) -> dict[str, object]:
        """The JSON object in the body, whatever its Content-Type says. With ``optional``, no
        body at all is an empty object.

        Raises:
            BodyTooLarge: over 1 MiB.
            InvalidInput: not UTF-8, not JSON (RFC 8259), a name given twice, or no object.
        """
        text = await self.raw_body(MAX_BODY)
        if optional and not text.strip():
            return {}
        value = _parse_json(text)
        if not isinstance(value, dict):
            raise InvalidInput("The body must be a JSON object.", code="malformed_json")
        return value

    async def raw_body(self, limit: int) -> bytes:
        """The body, up to ``limit`` bytes. Raises BodyTooLarge where it is longer."""
        chunks = bytearray()
        async for chunk in self.request.stream():
            chunks += chunk
            if len(chunks) > limit:
                raise BodyTooLarge(f"The body is larger than {limit} bytes.")
        return bytes(chunks)


def bearer_token(request: Request) -> str:
    """The token of the Authorization header (RFC 6750 section 2.1).

    Raises:
        Unauthenticated: no such header, or another scheme.
    """
    header = request.headers.get("authorization", "")
    scheme, _, token = header.partition(" ")
    if scheme.lower() != "bearer" or not token.strip():
        raise Unauthenticated(
            "A token is required: send it as 'Authorization: Bearer <token>'.",
            code="token_required",
        )
    return token.strip()


def answer(content: object, status: int = 200, headers: dict[str, str] | None = None) -> Response:
    """``content`` (wire models) as JSON. Nothing here may be kept by a cache on the way."""
    return Response(
        msgspec.json.encode(content),
        status,
        {"Cache-Control": "no-store", **(headers or {})},
        media_type="application/json",
    )


def _parse_json(text: bytes) -> object:
    if not text.strip():
        raise InvalidInput("The body is empty; expected a JSON object.", code="malformed_json")
    try:
        # Strict where the standard library is lenient: NaN, lone surrogates, nesting.
        value: object = msgspec.json.decode(text)
        # Every name has its colon: where none is left over, no name was given twice.
        if text.count(b":") == _names(value):
            return value
        return json.loads(text, object_pairs_hook=_unique)
    except msgspec.DecodeError as error:
        raise InvalidInput(f"The body is not JSON: {error}.", code="malformed_json") from None
    except (UnicodeDecodeError, RecursionError):
        raise InvalidInput(
            "The body is not JSON: bad UTF-8, or nested too deeply.", code="malformed_json"
        ) from None


def _names(value: object) -> int:
    """How many names there are in all objects of ``value``."""
    count, rest = 0, [value]
    while rest:
        each = rest.pop()
        if isinstance(each, dict):
            count += len(each)
            each = list(each.values())
        if isinstance(each, list):
            rest += [item for item in each if isinstance(item, (dict, list))]
    return count


def _unique(pairs: list[tuple[str, object]]) -> dict[str, object]:
    found = dict(pairs)
    if len(found) != len(pairs):
        counts = Counter(name for name, _ in pairs)
        raise InvalidFields(
            FieldProblem(name[:80], "is given more than once", "every name once")
            for name, count in counts.most_common(20)
            if count > 1
        )
    return found
