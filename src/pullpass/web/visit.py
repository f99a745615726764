"""One request for a page: who asks, what was typed, and the services that answer."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from urllib.parse import parse_qsl

from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from pullpass.broker.audit import AuditLog, Auditor
from pullpass.broker.browser_sessions import BrowserSession, BrowserSessions
from pullpass.broker.checks import CheckService
from pullpass.broker.clock import Clock
from pullpass.broker.clusters import ClusterService
from pullpass.broker.credentials import CredentialService
from pullpass.broker.federation import FederationService
from pullpass.broker.identity import IdentityService
from pullpass.broker.imports import ImportService
from pullpass.broker.kept_forms import KeptForms
from pullpass.broker.lifetimes import Lifetimes
from pullpass.broker.live import LiveRevisions
from pullpass.broker.origin import origin_of
from pullpass.broker.records import RecordService
from pullpass.broker.sign_in import SignInService
from pullpass.broker.trust import TrustService
from pullpass.domain import access
from pullpass.domain.access import Action, Caller
from pullpass.domain.errors import InvalidInput, PullpassError
from pullpass.domain.identity import Origin, Principal
from pullpass.web import cookie
from pullpass.web.notices import NOTICES
from pullpass.web.rendering import Renderer

MAX_FORM = 1024 * 1024
_MAX_FIELDS = 200


@dataclass(frozen=True, slots=True)
class WebServices:
    """What the pages may use; made once by the composition root. ``sign_in`` is None where only
    tokens sign in; ``status_of`` is the API's table from errors to HTTP.
    """

    records: RecordService
    credentials: CredentialService
    checks: CheckService
    lifetimes: Lifetimes
    clusters: ClusterService
    identity: IdentityService
    trust: TrustService
    audit: Auditor
    audit_log: AuditLog
    federation: FederationService
    browser_sessions: BrowserSessions
    imports: ImportService
    kept_forms: KeptForms
    live: LiveRevisions
    clock: Clock
    sign_in: SignInService | None
    status_of: Callable[[PullpassError], int]


class Visit:
    """A request on its way through a handler. ``session`` and ``caller`` are there where the
    page's access asks for them; asking for one that is not there is a programming error. ``kept``
    is what was typed into the page's form when its session had ended, without its secrets.
    """

    __slots__ = ("_caller", "_renderer", "_session", "form", "kept", "request", "services")

    def __init__(
        self,
        request: Request,
        services: WebServices,
        renderer: Renderer,
        session: BrowserSession | None,
        caller: Caller | None,
    ) -> None:
        self.request = request
        self.services = services
        self.form: Mapping[str, str] = {}
        self.kept: Mapping[str, str] = {}
        self._renderer = renderer
        self._session = session
        self._caller = caller

    @property
    def session(self) -> BrowserSession:
        if self._session is None:
            raise LookupError("this page is public: it has no session")
        return self._session

    @property
    def origin(self) -> Origin:
        """A page answers 200; where a form was sent, the redirect that follows says that it
        worked.
        """
        status = 200 if self.request.method in ("GET", "HEAD") else 303
        return origin_of(self.request.scope, status)

    @property
    def principal(self) -> Principal:
        return self.session.principal

    @property
    def caller(self) -> Caller:
        if self._caller is None:
            raise LookupError("this page is in no organization: it has no caller")
        return self._caller

    @property
    def home(self) -> str:
        """The path that all pages of the organization begin with."""
        return f"/ui/orgs/{self.caller.organization}"

    def path(self, name: str) -> str:
        return str(self.request.path_params[name])

    def query(self, name: str) -> str:
        """The query parameter, the last one where it is given twice; empty without. It holds no
        NUL, which PostgreSQL would not even take.
        """
        return self.request.query_params.get(name, "").replace("\0", "")

    def may(self, action: Action) -> bool:
        return access.may(self.caller, action)

    def page(self, template: str, status: int = 200, /, **values: object) -> Response:
        """The page that ``template`` makes of ``values``. No cache keeps it."""
        session, caller = self._session, self._caller
        html = self._renderer.render(
            template,
            now=self.services.clock(),
            user=None if session is None else session.principal.user,
            form_key="" if session is None else cookie.masked(session.form_key),
            organization=None if caller is None else caller.organization,
            role=None if caller is None else caller.membership.role,
            home="/ui/" if caller is None else self.home,
            may=frozenset() if caller is None else access.PERMISSIONS[caller.membership.role],
            kept=self.kept,
            notice=NOTICES.get(self.query("notice")),
            **values,
        )
        return Response(html, status, media_type="text/html")

    def go(self, path: str, notice: str = "") -> Response:
        """On to another page, after a form that was taken (RFC 9110 section 15.4.4)."""
        return RedirectResponse(f"{path}?notice={notice}" if notice else path, 303)


async def read_form(request: Request) -> dict[str, str]:
    """The fields of a form, the last value of each.

    Raises:
        InvalidInput: over 1 MiB, too many fields, or not UTF-8.
    """
    body = bytearray()
    async for chunk in request.stream():
        body += chunk
        if len(body) > MAX_FORM:
            raise InvalidInput(f"The form is larger than {MAX_FORM} bytes.")
    try:
        pairs = parse_qsl(
            body.decode("ascii"),
            keep_blank_values=True,
            errors="strict",
            max_num_fields=_MAX_FIELDS,
        )
    except ValueError:
        raise InvalidInput("The form is not as a browser sends it.") from None
    # A browser sends line breaks as CR LF (HTML, "constructing the entry list").
    return {name: value.replace("\r\n", "\n") for name, value in pairs}
