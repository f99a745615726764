"""Where the master key is by the settings: a file, or the database, wrapped by a remote key."""

from __future__ import annotations

import asyncio
import logging
import ssl
from ipaddress import ip_network

from pullpass.broker.clock import utc_now
from pullpass.exchange.addresses import AddressGuard
from pullpass.exchange.aws_kms import SCHEME, AwsKmsKey
from pullpass.exchange.token_service import TokenService
from pullpass.exchange.transit import Access, TransitKey
from pullpass.sealing.envelope import MasterKeyUnavailable, RemoteKey, WrappedHome
from pullpass.sealing.key_homes import FileHome, KeyHome
from pullpass.sealing.keyset import Keyset
from pullpass.server.settings import Settings, SettingsError
from pullpass.store.keys import KeyStore

# The operator says where the remote key is, no record does: it may be anywhere.
_ANYWHERE = (ip_network("0.0.0.0/0"), ip_network("::/0"))
# In seconds. An orchestrator that starts everything at once has the service up by then.
_PAUSES = (0.5, 1.0, 2.0, 4.0, 8.0)

# Not structlog, which the commands that work without a server do not set up.
_log = logging.getLogger("pullpass.server")


def home(settings: Settings, store: KeyStore) -> KeyHome:
    """The home that the settings name; a key in the environment has none.

    Raises: as :func:`wrapped_home`.
    """
    if settings.master_key_uri is None:
        return FileHome(settings.master_key_file)
    return wrapped_home(settings, store, settings.master_key_uri)


def wrapped_home(settings: Settings, store: KeyStore, uri: str) -> WrappedHome:
    """The home in the database whose remote key is ``uri``.

    Raises:
        SettingsError: it names no such key, or the authority of Vault cannot be read.
    """
    return WrappedHome(_remote_key(settings, uri), store)


async def read_patiently(place: KeyHome) -> Keyset | None:
    """As ``place.read()``, tried again for a while where the service does not answer."""
    for pause in _PAUSES:
        try:
            return await place.read()
        except MasterKeyUnavailable as error:
            _log.warning("waiting %g s for the master key: %s", pause, error.message)
            await asyncio.sleep(pause)
    return await place.read()


def _remote_key(settings: Settings, uri: str) -> RemoteKey:
    guard = AddressGuard(_ANYWHERE)
    try:
        if uri.startswith(SCHEME):
            service = TokenService(guard, ssl.create_default_context())
            return AwsKmsKey(uri, service, utc_now, endpoint=settings.kms_endpoint)
        access = Access(
            token=settings.vault_token,
            token_file=settings.vault_token_file,
            role=settings.vault_role,
            auth=settings.vault_auth,
            jwt_file=settings.vault_jwt_file,
            namespace=settings.vault_namespace,
        )
        return TransitKey(uri, TokenService(guard, _vault_trust(settings)), access)
    except ValueError as error:
        raise SettingsError(f"The master key URI {uri!r} {error}.") from None


def _vault_trust(settings: Settings) -> ssl.SSLContext:
    path = settings.vault_ca_file
    try:
        return ssl.create_default_context(cafile=path)
    except (OSError, ssl.SSLError) as error:
        raise SettingsError(
            f"The authority of Vault {path} cannot be read: {error.strerror or error}."
        ) from None
