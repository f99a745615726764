"""Running the server: one supervising process, and workers that share its socket."""

from __future__ import annotations

import asyncio
import contextlib
import os
import socket
import ssl
import tempfile
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import structlog
from granian.constants import HTTPModes, Interfaces
from granian.http import HTTP1Settings
from granian.server import Server
from starlette.types import ASGIApp

from pullpass.domain.errors import PullpassError
from pullpass.server import logs
from pullpass.server.settings import Settings, SettingsError, load_builtins
from pullpass.server.startup import prepare

_GRACE_SECONDS = 15
_BUFFER_BYTES = 64 * 1024

_log = structlog.get_logger("pullpass.server")


class CannotListen(PullpassError):
    """The address is in use, or not one of this machine's."""

    default_code = "cannot_listen"


def serve(settings: Settings) -> None:
    """Serve until SIGTERM or SIGINT; answers what has begun before it returns, and logs that.

    Raises:
        SettingsError, MasterKeyError, StoreUnavailable, CannotListen: nothing was started.
    """
    logs.configure(settings.log_format, settings.log_level)
    load_builtins(settings.config)
    _check_tls(settings)
    asyncio.run(_check(settings))
    if settings.socket is not None:
        _make_way(settings.socket)
    server = Server(
        "pullpass",
        address=settings.host if settings.socket is not None else _bindable(settings),
        port=settings.port,
        uds=settings.socket,
        # Whoever is on this machine may connect, as with a port: the token is what counts.
        uds_permissions=0o666 if settings.socket is not None else None,
        interface=Interfaces.ASGI,
        workers=settings.workers,
        ssl_cert=settings.tls_cert,
        ssl_key=settings.tls_key,
        http=HTTPModes.http1,
        # The time counts from the connection, and again from each answer: what is idle ends too.
        http1_settings=HTTP1Settings(
            header_read_timeout=settings.client_timeout_seconds * 1000,
            max_buffer_size=_BUFFER_BYTES,
        ),
        # Further connections wait in the backlog until another one ends.
        backpressure=settings.max_connections,
        websockets=False,
        log_enabled=False,
        respawn_failed_workers=True,
        workers_kill_timeout=_GRACE_SECONDS,
    )
    server.on_startup(partial(_announce, settings))
    with _metrics_folder(settings.workers):
        server.serve(target_loader=partial(_load, settings), wrap_loader=False)
    _log.info("stopped")


def _check_tls(settings: Settings) -> None:
    """Raises SettingsError where the certificate and its key cannot be used."""
    if settings.tls_cert is None or settings.tls_key is None:
        return
    try:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        # Asked for a password, it would wait for somebody to type it.
        context.load_cert_chain(settings.tls_cert, settings.tls_key, password=lambda: "")
    except (OSError, ssl.SSLError) as error:
        raise SettingsError(
            f"The TLS certificate {settings.tls_cert} with the key {settings.tls_key} cannot be "
            f"used: {error.strerror or error}."
        ) from None


def _bindable(settings: Settings) -> str:
    """The IP address to listen on, tried out: the server's own error would be a stack trace.

    Raises:
        CannotListen: no such address on this machine, or the port is in use.
    """
    try:
        found = socket.getaddrinfo(settings.host, settings.port, type=socket.SOCK_STREAM)
        family, kind, _, _, address = found[0]
        with socket.socket(family, kind) as trial:
            trial.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            trial.bind(address)
    except OSError as error:
        raise CannotListen(
            f"Cannot listen on {settings.host} port {settings.port}: {error.strerror}."
        ) from None
    return str(address[0])


def _make_way(path: Path) -> None:
    """Removes the socket of a server that ended without warning, and tries the path out.

    Raises:
        CannotListen: a server listens there, it is something else, or it cannot be made.
    """
    try:
        with (
            socket.socket(socket.AF_UNIX) as trial,
            contextlib.suppress(FileNotFoundError, ConnectionRefusedError),
        ):
            trial.connect(str(path))
            raise CannotListen(f"Cannot listen on {path}: a server listens there already.")
        # What is no socket refuses a connection too.
        if path.is_socket():
            path.unlink()
        with socket.socket(socket.AF_UNIX) as trial:
            trial.bind(str(path))
        path.unlink()
    except OSError as error:
        raise CannotListen(f"Cannot listen on {path}: {error.strerror or error}.") from None


@contextlib.contextmanager
def _metrics_folder(workers: int) -> Iterator[None]:
    """Where several workers add up what they count; one worker needs none."""
    if workers == 1:
        yield
        return
    with tempfile.TemporaryDirectory(prefix="pullpass-metrics-") as folder:
        os.environ["PROMETHEUS_MULTIPROC_DIR"] = folder
        yield


def _load(settings: Settings) -> ASGIApp:
    # Only workers need what the application is made of: the supervisor starts without it.
    from pullpass.server.application import Application

    logs.configure(settings.log_format, settings.log_level)
    return Application(settings)


def _announce(settings: Settings) -> None:
    scheme = "http" if settings.tls_cert is None else "https"
    host = f"[{settings.host}]" if ":" in settings.host else settings.host
    url = f"unix://{settings.socket}" if settings.socket else f"{scheme}://{host}:{settings.port}"
    _log.info("listening", url=url, workers=settings.workers, data_dir=str(settings.data_dir))


async def _check(settings: Settings) -> None:
    prepared = await prepare(settings)
    await prepared.database.close()
