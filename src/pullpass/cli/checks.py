"""``pullpass registry check``: credentials, tried on their live registries."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import dataclass
from datetime import datetime
from typing import TypeVar

import click

from pullpass.cli.exit_codes import ExitCode
from pullpass.cli.output import note, output_option, print_details, print_json, print_table, yes_no
from pullpass.cli.session import Session
from pullpass.client.errors import ApiError
from pullpass.client.models import Check, CheckStep, Registry

# Half of what a server does at once, so that others get a turn.
_AT_ONCE = 4
_SECRET_REF = "secret_ref"  # noqa: S105

_Item = TypeVar("_Item")
_Result = TypeVar("_Result")


@dataclass(frozen=True, slots=True)
class _Checked:
    """A record and what came of its check, with the names that the JSON has."""

    id: str
    registry: str
    ok: bool
    code: str
    message: str
    checked_at: datetime | None = None
    steps: tuple[CheckStep, ...] = ()


@click.command(short_help="Try the credential of a record, or of all, on the live registry.")
@click.argument("registry_id", metavar="[ID]", required=False)
@click.option("--all", "every", is_flag=True, help="Try every record of the organization.")
@click.option("--repository", metavar="PATH", help="Try to pull from this repository.")
@click.option("--image", metavar="IMAGE", help="Try to pull this image, for a record with a `*`.")
@output_option
@click.pass_context
def check(
    ctx: click.Context,
    registry_id: str | None,
    every: bool,
    repository: str | None,
    image: str | None,
    output: str,
) -> None:
    """Try the credential of the record ID on the live registry; or, with --all, of every record.

    The exit code is 6 if one fails. What came of it stands in `registry list` and `registry get`.
    """
    if every and (registry_id or repository or image):
        raise click.UsageError("--all goes with no ID, --repository or --image.")
    if repository and image:
        raise click.UsageError("Give --repository or --image, not both.")
    session: Session = ctx.obj
    if every:
        works = _check_all(session, output)
    elif registry_id is not None:
        works = _check_one(session, registry_id, repository, image, output)
    else:
        raise click.UsageError("Which record? Give its ID, or --all.")
    if not works:
        ctx.exit(ExitCode.UPSTREAM)


def _check_one(
    session: Session, registry_id: str, repository: str | None, image: str | None, output: str
) -> bool:
    with session.client() as client:
        result = client.registries.check(registry_id, repository=repository, image=image)
    if output == "json":
        print_json(result)
        return result.ok
    print_details({"Works": yes_no(result.ok), "Result": result.code, "Why": result.message})
    if result.steps:
        click.echo()
        print_table(
            ["STEP", "OK", "MS", "MESSAGE"],
            (
                [step.name, yes_no(step.ok), f"{step.milliseconds:.0f}", step.message or ""]
                for step in result.steps
            ),
        )
    return result.ok


def _check_all(session: Session, output: str) -> bool:
    """Whether all that can be tried from the server work."""
    with session.client() as client:
        records = client.registries.list()

        def one(record: Registry) -> _Checked:
            return _checked(record, client.registries.check)

        results = _with_progress(one, [record for record in records if _can_be_tried(record)])
    results.sort(key=lambda checked: checked.id)
    if output == "json":
        print_json(results)
    elif results:
        print_table(
            ["ID", "REGISTRY", "WORKS", "RESULT", "WHY"],
            ([r.id, r.registry, yes_no(r.ok), r.code, r.message] for r in results),
        )
    else:
        note("There is no record that can be tried from the server.")
    if left := [record.id for record in records if not _can_be_tried(record)]:
        note(
            f"Not tried: {', '.join(left)}. A secret of a cluster can only be tried there, and a "
            "record with a `*` needs --image."
        )
    return all(checked.ok for checked in results)


def _can_be_tried(record: Registry) -> bool:
    return record.type != _SECRET_REF and "*" not in record.registry


def _checked(record: Registry, check: Callable[[str], Check]) -> _Checked:
    try:
        found = check(record.id)
    except ApiError as error:
        # One record that was deleted meanwhile, or a busy server, does not stop the others.
        return _Checked(record.id, record.registry, False, error.code, error.message)
    return _Checked(
        record.id,
        record.registry,
        found.ok,
        found.code,
        found.message,
        found.checked_at,
        found.steps,
    )


def _with_progress(work: Callable[[_Item], _Result], items: Iterable[_Item]) -> list[_Result]:
    """The results, in the order in which they came; a bar on stderr where a person looks on."""
    pool = ThreadPoolExecutor(_AT_ONCE)
    try:
        waiting = [pool.submit(work, item) for item in items]
        screen = sys.stderr
        with click.progressbar(
            length=len(waiting),
            label="Checking",
            file=screen,
            show_pos=True,
            hidden=not (waiting and screen.isatty()),
        ) as bar:
            results = []
            for done in as_completed(waiting):
                results.append(done.result())
                bar.update(1)
            return results
    finally:
        # After Ctrl-C nobody waits for what has not begun.
        pool.shutdown(cancel_futures=True)
