"""``pullpass docker install`` and ``uninstall``."""

from __future__ import annotations

import json
import os
from collections.abc import Iterable
from pathlib import Path

import click

from pullpass.cli.docker.helpers import HELPER, HUB_KEYS, Edit, Memory, install, read_memory
from pullpass.cli.docker.helpers import uninstall as without_helper
from pullpass.cli.docker.jsontext import NotAnObject
from pullpass.cli.docker.launching import drop_launcher, put_launcher
from pullpass.cli.exit_codes import ExitCode
from pullpass.cli.files import replace_file
from pullpass.cli.lazy import WholeLines
from pullpass.cli.output import note, shown
from pullpass.cli.session import Session
from pullpass.domain.errors import InvalidRegistryPrefix
from pullpass.domain.image import DOCKER_HUB
from pullpass.domain.prefix import RegistryPrefix, parse_helper_query
from pullpass.plugins.settings import config_path

_NO_CREDENTIALS = ("public", "secret_ref")

_config_option = click.option(
    "--config", metavar="FILE", help="Docker's file, instead of ~/.docker/config.json."
)
_auth_file_option = click.option(
    "--auth-file",
    metavar="FILE",
    help="The file of podman, skopeo and buildah. Without this, every auth.json that is there.",
)
_bin_dir_option = click.option(
    "--bin-dir",
    metavar="DIR",
    default="~/.local/bin",
    show_default=True,
    help=f"Where the program docker-credential-{HELPER} goes.",
)
_dry_run_option = click.option("--dry-run", is_flag=True, help="Only say what would be done.")


@click.group(cls=WholeLines)
def docker() -> None:
    """Let docker, podman, skopeo and buildah ask Pullpass for credentials."""


@docker.command("install")
@click.option(
    "--registry",
    "registries",
    metavar="HOST",
    multiple=True,
    help="A registry to ask for; may be repeated. Without this, those of all records.",
)
@_config_option
@_auth_file_option
@_bin_dir_option
@click.option("--force", is_flag=True, help="Take registries over from other helpers.")
@_dry_run_option
@click.pass_context
def install_(
    ctx: click.Context,
    registries: tuple[str, ...],
    config: str | None,
    auth_file: str | None,
    bin_dir: str,
    force: bool,
    dry_run: bool,
) -> None:
    """Name the credential helper in the clients' files, for each registry.

    Everything else in them stays as it is, and uninstall puts them back. A registry that has
    another helper keeps it, unless --force is given (exit code 5).
    """
    hosts = _named(registries) if registries else _recorded(ctx.obj)
    if not hosts:
        raise click.ClickException(
            "No record has a credential for one host: there is nothing to ask for. "
            "Give --registry, or add records first."
        )
    memories = _remembered()
    edits: dict[Path, Edit] = {}
    for path in _files(config, auth_file):
        try:
            edits[path], memory = install(
                _text(path), _keys(hosts), memories.get(str(path)), force=force
            )
        except NotAnObject as error:
            raise click.ClickException(f"{str(path)!r}: {error}. It was left untouched.") from None
        if edits[path].set_:
            memories[str(path)] = memory
    if not dry_run:
        _remember(memories)
        _write(edits)
    for path, edit in edits.items():
        _tell(path, edit, dry_run=dry_run)
    if launched := put_launcher(Path(bin_dir).expanduser(), dry_run=dry_run):
        click.echo(launched)
    if any(edit.kept for edit in edits.values()):
        ctx.exit(ExitCode.CONFLICT)


@docker.command()
@_config_option
@_auth_file_option
@_bin_dir_option
@_dry_run_option
def uninstall(config: str | None, auth_file: str | None, bin_dir: str, dry_run: bool) -> None:
    """Put the clients' files back as they were before install."""
    memories = _remembered()
    paths = dict.fromkeys([*_files(config, auth_file), *map(Path, memories)])
    if config is not None or auth_file is not None:
        paths = dict.fromkeys(_files(config, auth_file))
    edits: dict[Path, Edit] = {}
    for path in paths:
        text = _text(path)
        try:
            if text is not None:
                edits[path] = without_helper(text, memories.get(str(path)))
        except NotAnObject as error:
            raise click.ClickException(f"{str(path)!r}: {error}. It was left untouched.") from None
    changed = {path: edit for path, edit in edits.items() if edit.text != _text(path)}
    if not dry_run:
        _write(changed)
        _remember({path: each for path, each in memories.items() if Path(path) not in paths})
    for path, edit in changed.items():
        done = "Would put back" if dry_run else "Put back"
        click.echo(f"{done} {path}: {_list(edit.set_)} without the helper.")
    dropped = drop_launcher(Path(bin_dir).expanduser(), dry_run=dry_run)
    if dropped:
        click.echo(dropped)
    if not changed and not dropped:
        note("Nothing is installed here.")


def _named(registries: Iterable[str]) -> list[str]:
    hosts = []
    for registry in registries:
        try:
            prefix = parse_helper_query(registry)
        except InvalidRegistryPrefix as error:
            raise click.UsageError(f"--registry {error.problem}; expected a host.") from None
        if prefix.path:
            raise click.UsageError(
                f"--registry {shown(str(prefix))}: clients ask a helper by host, so give "
                f"{shown(prefix.domain)}."
            )
        hosts.append(str(prefix))
    return hosts


def _recorded(session: Session) -> list[str]:
    """The hosts of all records with a credential, where a helper can answer for them."""
    with session.client() as client:
        records = client.registries.list()
    by_host: dict[str, set[RegistryPrefix]] = {}
    for record in records:
        if record.type in _NO_CREDENTIALS:
            continue
        try:
            prefix = RegistryPrefix.parse(record.registry)
        except InvalidRegistryPrefix:
            # Of a newer server, perhaps.
            continue
        by_host.setdefault(str(RegistryPrefix(prefix.domain, ())), set()).add(prefix)
    hosts = []
    for host, prefixes in sorted(by_host.items()):
        if "*" in host:
            note(
                f"Left out: {shown(host)}, since these files hold no patterns. "
                "Give its hosts with --registry."
            )
        elif len(prefixes) > 1 and all(prefix.path for prefix in prefixes):
            note(
                f"Left out: {shown(host)}, which has {len(prefixes)} records below it and none "
                "for itself. Use pullpass docker-config with images."
            )
        else:
            hosts.append(host)
    return hosts


def _keys(hosts: Iterable[str]) -> list[str]:
    """What the clients call the hosts: Docker Hub has two names."""
    return [key for host in hosts for key in (HUB_KEYS if host == DOCKER_HUB else (host,))]


def _files(config: str | None, auth_file: str | None) -> list[Path]:
    """The files to edit, by their real paths: docker's, and the others that are there."""
    docker_folder = os.environ.get("DOCKER_CONFIG") or "~/.docker"
    wanted = [config or os.path.join(docker_folder, "config.json")]
    if auth_file is not None:
        wanted.append(auth_file)
    else:
        runtime = os.environ.get("XDG_RUNTIME_DIR")
        places = [
            os.environ.get("REGISTRY_AUTH_FILE"),
            os.path.join(runtime, "containers", "auth.json") if runtime else None,
            os.path.join(os.environ.get("XDG_CONFIG_HOME") or "~/.config", "containers/auth.json"),
        ]
        wanted += [place for place in places if place and os.path.isfile(_real(place))]
    return [Path(path) for path in dict.fromkeys(map(_real, wanted))]


def _real(path: str) -> str:
    return os.path.realpath(os.path.expanduser(path))


def _text(path: Path) -> str | None:
    """What stands in the file, every byte of it; None where there is none."""
    try:
        return path.read_bytes().decode()
    except FileNotFoundError:
        return None
    except UnicodeDecodeError:
        raise click.ClickException(
            f"{str(path)!r}: it is not UTF-8. It was left untouched."
        ) from None
    except OSError as error:
        raise click.ClickException(f"{str(path)!r}: {error.strerror}.") from None


def _write(edits: dict[Path, Edit]) -> None:
    for path, edit in edits.items():
        if not edit.set_:
            continue
        try:
            if edit.text is None:
                path.unlink()
                continue
            path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            mode = path.stat().st_mode & 0o7777 if path.exists() else 0o600
        except OSError as error:
            raise click.ClickException(f"{str(path)!r}: {error.strerror}.") from None
        replace_file(path, edit.text.encode(), mode=mode)


def _tell(path: Path, edit: Edit, *, dry_run: bool) -> None:
    if edit.set_:
        done = "Would name" if dry_run else "Named"
        click.echo(f"{done} the helper in {path}: {_list(edit.set_)}.")
    elif not edit.kept:
        click.echo(f"Nothing to do in {path}: the helper is named there.")
    for host in edit.logins:
        note(f"The login to {shown(host)} in {path} is not used any more: a helper goes before it.")
    for host, helper in edit.kept.items():
        note(
            f"{shown(host)} keeps the helper {shown(helper)!r} in {path}: "
            "give --force to replace it."
        )


def _list(names: Iterable[str]) -> str:
    return ", ".join(shown(name) for name in names)


def _memory_file() -> Path | None:
    path = config_path(os.environ)
    return Path(path).with_name("docker-install.json") if path else None


def _remembered() -> dict[str, Memory]:
    file = _memory_file()
    text = None if file is None else _text(file)
    return {} if text is None else read_memory(text)


def _remember(memories: dict[str, Memory]) -> None:
    file = _memory_file()
    if file is None:
        return
    try:
        if not memories:
            file.unlink(missing_ok=True)
            return
        file.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError as error:
        raise click.ClickException(f"{str(file)!r}: {error.strerror}.") from None
    content = json.dumps({path: each.as_json() for path, each in memories.items()}, indent=2)
    replace_file(file, content.encode(), mode=0o600)
