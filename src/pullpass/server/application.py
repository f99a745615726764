"""All wiring: from settings to an application, and back down again."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractContextManager
from datetime import timedelta

import structlog
from starlette.types import ASGIApp, Receive, Scope, Send

from pullpass.api.app import create_app
from pullpass.api.call import Services
from pullpass.api.errors import status_of
from pullpass.api.metrics import Metrics
from pullpass.broker.audit import AuditLog, Auditor
from pullpass.broker.browser_sessions import BrowserSessions
from pullpass.broker.builtins import BuiltinRecords
from pullpass.broker.checks import CheckService
from pullpass.broker.clock import utc_now
from pullpass.broker.clusters import ClusterService
from pullpass.broker.collector import settle
from pullpass.broker.credentials import CredentialService
from pullpass.broker.federation import FederationService
from pullpass.broker.follower import Follower
from pullpass.broker.health import Health
from pullpass.broker.identity import IdentityService
from pullpass.broker.imports import ImportService
from pullpass.broker.issuing import Issuer
from pullpass.broker.kept_forms import KeptForms
from pullpass.broker.lifetimes import Lifetimes
from pullpass.broker.live import LiveRevisions
from pullpass.broker.maintenance import Maintenance
from pullpass.broker.rate import RateLimit
from pullpass.broker.records import RecordService
from pullpass.broker.schedule import Schedule
from pullpass.broker.sessions import Sessions
from pullpass.broker.sign_in import SignInService
from pullpass.broker.snapshots import Snapshots
from pullpass.broker.trust import TrustService
from pullpass.broker.vault import Vault
from pullpass.domain.errors import PullpassError
from pullpass.exchange.addresses import AddressGuard
from pullpass.exchange.catalogue import exchangers
from pullpass.exchange.code_flow import CodeFlow
from pullpass.exchange.oidc import Issuers
from pullpass.exchange.probe import Prober
from pullpass.sealing.keyring import Keyring
from pullpass.server.settings import Settings, load_builtins
from pullpass.server.startup import prepare
from pullpass.server.stopping import stop_signals
from pullpass.store.audit import AuditStore
from pullpass.store.audit_reading import AuditReader
from pullpass.store.browser_sessions import BrowserSessionStore
from pullpass.store.changes import ChangeFeed
from pullpass.store.checks import CheckStore
from pullpass.store.clusters import ClusterStore
from pullpass.store.engine import Database
from pullpass.store.identity import IdentityStore
from pullpass.store.issued import IssuedStore
from pullpass.store.keys import KeyStore
from pullpass.store.records import RecordStore
from pullpass.store.sign_in import SignInStore
from pullpass.store.trust import TrustStore
from pullpass.web.app import create_pages
from pullpass.web.visit import WebServices

# What of the audit key, which every replica has, makes a key of another use.
_KEPT_FORMS = b"pullpass/kept-forms"

_log = structlog.get_logger("pullpass.server")


@contextlib.asynccontextmanager
async def open_application(
    settings: Settings,
    when_stopping: Callable[[Callable[[], None]], AbstractContextManager[None]] | None = None,
) -> AsyncIterator[ASGIApp]:
    """The application over an open database; closing stops its background work. ``when_stopping``
    calls what it is given when the server is to stop, until its block ends.

    Raises:
        SettingsError, MasterKeyError, StoreUnavailable: nothing was started.
    """
    sign_in = settings.sign_in
    builtins = BuiltinRecords(load_builtins(settings.config))
    prepared = await prepare(settings)
    database = prepared.database
    async with contextlib.AsyncExitStack() as stack:
        stack.push_async_callback(database.close)
        audit_store = AuditStore(database, prepared.audit_key)
        audit = Auditor(audit_store, utc_now, status_of)
        stack.push_async_callback(audit.close)
        feed = ChangeFeed(database)
        follower = Follower(feed)
        if when_stopping is not None:
            stack.enter_context(when_stopping(follower.release))
        identity_store = IdentityStore(database)
        record_store = RecordStore(database)
        check_store = CheckStore(database)
        trust_store = TrustStore(database)
        keyring = Keyring(prepared.master_key, KeyStore(database))
        vault = Vault(keyring, utc_now)
        metrics = Metrics()
        guard = AddressGuard(settings.allow_networks)
        issuers = Issuers(guard)
        issued_store = IssuedStore(database)
        issuer = Issuer(
            issued_store,
            keyring,
            exchangers(
                settings.allow_networks,
                ambient=settings.ambient_identity,
                oidc_token_file=settings.oidc_token_file,
            ),
            Schedule(timedelta(seconds=settings.min_credential_seconds)),
            utc_now,
            metrics,
        )
        stack.push_async_callback(issuer.close)
        rate = RateLimit(settings.requests_per_second, settings.request_burst, time.monotonic)
        sessions = Sessions(identity_store, feed, follower, rate, utc_now)
        snapshots = Snapshots(record_store, follower, builtins, issuer.forget)
        stack.push_async_callback(snapshots.close)
        await sessions.start()
        await follower.catch_up()
        credentials = CredentialService(snapshots, record_store, builtins, vault, issuer, audit)
        records = RecordService(record_store, check_store, snapshots, vault, issuer, audit, utc_now)
        stack.push_async_callback(records.close)
        services = Services(
            records=records,
            credentials=credentials,
            checks=CheckService(credentials, check_store, Prober(guard), audit, utc_now),
            clusters=ClusterService(
                ClusterStore(database), feed, follower, snapshots, audit, utc_now
            ),
            identity=IdentityService(
                identity_store,
                sessions,
                audit,
                utc_now,
                invites_by_email=sign_in is not None and not sign_in.group_roles,
            ),
            trust=TrustService(trust_store, sessions, audit, utc_now),
            federation=FederationService(trust_store, issuers, audit, utc_now),
            audit=audit,
            audit_log=AuditLog(AuditReader(database)),
            sessions=sessions,
            health=Health(database, follower),
            metrics=metrics,
        )
        browser_session_store = BrowserSessionStore(database)
        browser_sessions = BrowserSessions(browser_session_store, sessions, utc_now)
        pages = WebServices(
            records=services.records,
            credentials=credentials,
            checks=services.checks,
            lifetimes=Lifetimes(record_store, builtins, issued_store, vault),
            clusters=services.clusters,
            identity=services.identity,
            trust=services.trust,
            audit=services.audit,
            audit_log=services.audit_log,
            federation=services.federation,
            browser_sessions=browser_sessions,
            imports=ImportService(services.records, credentials, keyring, utc_now),
            kept_forms=KeptForms(prepared.audit_key.sign(_KEPT_FORMS), utc_now),
            live=LiveRevisions(feed, follower, snapshots),
            clock=utc_now,
            sign_in=_sign_in(settings, database, issuers, guard, sessions, browser_sessions, audit),
            status_of=status_of,
        )
        kept = settings.audit_retention_days
        maintenance = Maintenance(
            feed,
            identity_store,
            browser_session_store,
            issued_store,
            utc_now,
            audit=audit_store,
            audit_kept=timedelta(days=kept) if kept else None,
        )
        for work in (follower.run(), issuer.run(), maintenance.run()):
            stack.push_async_callback(_stop, asyncio.create_task(work))
        yield create_app(
            services,
            create_pages(pages),
            settings.trusted_proxies,
            settings.client_timeout_seconds,
        )


def _sign_in(
    settings: Settings,
    database: Database,
    issuers: Issuers,
    guard: AddressGuard,
    sessions: Sessions,
    browser_sessions: BrowserSessions,
    audit: Auditor,
) -> SignInService | None:
    provider = settings.sign_in
    if provider is None:
        return None
    flow = CodeFlow(provider, issuers, guard)
    store = SignInStore(database)
    return SignInService(provider, flow, store, sessions, browser_sessions, audit, utc_now)


class Application:
    """An ASGI application whose inside is made when the server starts (ASGI lifespan)."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._inside: ASGIApp | None = None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            await self._lifespan(receive, send)
        elif self._inside is not None:
            await self._inside(scope, receive, send)

    async def _lifespan(self, receive: Receive, send: Send) -> None:
        await receive()
        try:
            async with open_application(self._settings, stop_signals) as self._inside:
                settle()
                await send({"type": "lifespan.startup.complete"})
                await receive()
        except PullpassError as error:
            _log.error("cannot start", error=error.message)
            await send({"type": "lifespan.startup.failed", "message": error.message})
            return
        await send({"type": "lifespan.shutdown.complete"})


async def _stop(task: asyncio.Task[None]) -> None:
    task.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await task
