"""The documentation is true: its sessions run, its links lead somewhere, its tables are whole."""

from __future__ import annotations

import ast
import dataclasses
import difflib
import re
import shlex
import subprocess
from collections.abc import Iterator
from pathlib import Path

import click
import pytest

from pullpass.api.errors import status_of
from pullpass.api.metrics import Metrics
from pullpass.cli.serve import serve
from pullpass.domain.access import PERMISSIONS, Action
from pullpass.domain.errors import PullpassError
from pullpass.domain.identity import Role
from pullpass.domain.probe import ProbeCode
from pullpass.domain.record_types import RecordType
from pullpass.server import sign_in_settings
from pullpass.server.settings import Settings, load, load_builtins
from tests.cli.test_cli_docs import command_lines, resolved
from tests.parts.documents import ROOT, Block, Page, agrees, normalised, pages, run_session
from tests.parts.workplace import workplace
from tests.test_errors import AT_START, all_errors

GUIDES = pages("README.md", "docs/*.md")
EVERYTHING = pages("*.md", "docs/*.md", "docs/decisions/*.md")
DOCS = {page.path.stem: page for page in pages("docs/*.md")}
SOURCE = ROOT / "src" / "pullpass"

SESSIONS = [page for page in GUIDES if page.steps()]
SCRIPTS = [(page, block) for page in GUIDES for block in page.blocks("sh")]
LINES = [
    # docs/cli.md has a test of its own.
    (page.name, line)
    for page, block in SCRIPTS
    if page.name != "docs/cli.md"
    for line in command_lines(block.text)
]


def named(value: object) -> str | None:
    if isinstance(value, Page):
        return value.name
    return f"line {value.line}" if isinstance(value, Block) else None


@pytest.mark.parametrize("page", SESSIONS, ids=named)
def test_a_session_prints_what_the_page_says(page: Page) -> None:
    steps = page.steps()
    with workplace("\n".join(step.command for step in steps)) as here:
        outputs = run_session(steps, folder=here.folder, env=here.env)
    wrong = []
    for step, output in zip(steps, map(here.as_documented, outputs), strict=True):
        if not agrees(step.output, output):
            compared = difflib.unified_diff(
                normalised(step.output).splitlines(),
                normalised(output).splitlines(),
                "documented",
                "printed",
                lineterm="",
            )
            wrong.append(f"{page.name}:{step.line}: {step.command}\n" + "\n".join(compared))
    assert not wrong, "\n\n".join(wrong)


@pytest.mark.parametrize(("page", "block"), SCRIPTS, ids=named)
def test_a_script_has_no_syntax_error(page: Page, block: Block) -> None:
    done = subprocess.run(
        ["sh", "-n"], input=block.text, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, f"{page.name}:{block.line}: {done.stderr}"


@pytest.mark.parametrize(("page", "line"), LINES)
def test_a_command_line_that_cannot_run_here_is_taken(page: str, line: str) -> None:
    command, path, words = resolved(shlex.split(line)[1:])
    assert command.make_context(path, words).command is command, page


@pytest.mark.parametrize("page", EVERYTHING, ids=named)
def test_every_link_within_the_repository_leads_somewhere(page: Page) -> None:
    for target in re.findall(r"\]\(([^)\s]+)\)", page.prose):
        path, _, anchor = target.partition("#")
        if "://" in path or path.startswith("mailto:"):
            continue
        file = (page.path.parent / path).resolve() if path else page.path
        assert file.exists(), f"{page.name} links to {target}"
        if anchor:
            assert anchor in anchors(Page(file)), f"{page.name} links to {target}"


def anchors(page: Page) -> set[str]:
    """What a link can name in a page, as GitHub makes it of the headings."""
    headings = re.findall(r"^#+ (.*)$", page.prose, re.MULTILINE)
    return {re.sub(r"[^\w -]", "", heading.lower()).replace(" ", "-") for heading in headings}


def test_the_index_names_every_page() -> None:
    assert {f"({name}.md)" for name in DOCS} - {"(README.md)"} <= set(
        re.findall(r"\([\w-]+\.md\)", DOCS["README"].text)
    )


def test_every_variable_is_one_that_the_source_reads() -> None:
    read = {variable(name) for name in settings()}
    for file in SOURCE.rglob("*.py"):
        read |= set(variables(file.read_text()))
    named = {name: page.name for page in GUIDES for name in variables(page.text)}
    assert named.keys() <= read, {n: page for n, page in named.items() if n not in read}


def variables(text: str) -> list[str]:
    return re.findall(r"(?<![A-Z_])PULLPASS_[A-Z_]*[A-Z]", text)


def settings() -> list[str]:
    names = [setting.name for setting in dataclasses.fields(Settings)]
    names.remove("sign_in")
    of_provider = [*sign_in_settings.DEFAULTS, *sign_in_settings.OPTIONAL, "oidc_client_secret"]
    return names + of_provider


def variable(setting: str) -> str:
    return f"PULLPASS_{setting.upper()}"


def test_every_setting_of_a_server_is_documented() -> None:
    table = {
        row[1]: row for row in rows(DOCS["deploy"], columns=5) if row[1].startswith("PULLPASS_")
    }
    assert table.keys() == {variable(name) for name in settings()}
    assert {row[0] for row in table.values()} - {""} == {
        option.opts[0] for option in serve.params if isinstance(option, click.Option)
    }
    defaults = load({}, {})
    for name in ("host", "port", "workers", "log_format", "log_level"):
        assert table[variable(name)][3] == str(getattr(defaults, name))
    in_file = {row[2] for row in table.values()} - {""}
    secrets = {"master_key", "oidc_client_secret", "vault_token"}
    assert in_file == set(settings()) - {"config", *secrets}


@pytest.mark.parametrize("block", DOCS["deploy"].blocks("toml"), ids=named)
def test_a_configuration_file_is_taken(block: Block, tmp_path: Path) -> None:
    config = tmp_path / "pullpass.toml"
    config.write_text(block.text)
    for password_file in re.findall(r'password_file = "(.*?)"', block.text):
        (tmp_path / password_file).write_text("a password")
    load({"config": str(config)}, {})
    assert load_builtins(config)


def test_the_table_of_roles_is_the_one_in_force() -> None:
    header, *table = rows(DOCS["access"], columns=len(Role) + 1)
    assert header[1:] == list(Role)
    documented = {
        action: {role for role, may in zip(Role, cells, strict=True) if may == "yes"}
        for action, *cells in table
    }
    assert documented == {
        action: {role for role in Role if action in PERMISSIONS[role]} for action in Action
    }


def test_every_type_of_record_is_documented() -> None:
    assert set(RecordType) == {row[0] for row in rows(DOCS["records"], columns=3)} - {"type"}


def test_every_result_of_a_check_is_documented() -> None:
    [listed] = re.findall(r"^Results: (.*?)\.$", DOCS["records"].prose, re.MULTILINE | re.DOTALL)
    assert re.findall(r"`([a-z_]+)`(?=,|$)", re.sub(r" \(.*?\)", "", listed)) == list(ProbeCode)


def test_every_metric_of_a_server_is_documented() -> None:
    text = (ROOT / "docs" / "deploy.md").read_text()
    told = set(re.findall(r"^\| `(pullpass_\w+)` \|", text, re.MULTILINE))
    rendered = Metrics().render().decode()
    counted = re.findall(r"^# TYPE (\w+) (?:counter|gauge|histogram)$", rendered, re.MULTILINE)
    assert told == {name for name in counted if not name.endswith("_created")}


def test_every_error_code_is_documented_with_its_status() -> None:
    at_start = {code for code, _ in rows(DOCS["troubleshooting"], columns=2)} - {"code"}
    documented = {
        (code, int(status))
        for status, codes, _ in rows(DOCS["api"], columns=3)
        if status.isdecimal()
        for code in codes.split(", ")
    }
    codes = error_codes()
    assert documented == {(code, status) for code, status in codes if code not in at_start}
    assert at_start == {kind.default_code for kind in AT_START} | {"invalid_database_url"}


def error_codes() -> set[tuple[str, int]]:
    """Every code in the source, with the HTTP status of the errors that carry it."""
    kinds = {kind.__name__: kind for kind in all_errors()}
    found = {(kind.default_code, http_status(kind)) for kind in kinds.values()}
    found.add((PullpassError.default_code, http_status(PullpassError)))
    for call in calls():
        name = ast.unparse(call.func).rpartition(".")[2]
        given = {word.arg: word.value for word in call.keywords}
        match given.get("code"), call.args:
            case ast.Constant(value=str(code)), _ if name in kinds:
                found.add((code, http_status(kinds[name])))
            case None, [ast.Constant(value=int(status)), _, ast.Constant(value=str(code)), *_]:
                found.add((code, status))
    return found


def calls() -> Iterator[ast.Call]:
    for file in SOURCE.rglob("*.py"):
        for node in ast.walk(ast.parse(file.read_text())):
            if isinstance(node, ast.Call):
                yield node


def http_status(kind: type[PullpassError]) -> int:
    # Its status lies in its class, so none of what its constructor asks for is needed.
    return status_of(kind.__new__(kind))


def rows(page: Page, *, columns: int) -> list[list[str]]:
    """The rows of the page's tables that have so many columns, headings too, without backticks."""
    cells = [
        [cell.strip().replace("`", "") for cell in line.strip().strip("|").split("|")]
        for line in page.prose.splitlines()
        if line.lstrip().startswith("|") and not set(line) <= set("|- ")
    ]
    return [row for row in cells if len(row) == columns]
