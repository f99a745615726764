"""The programs of the page about the SDK run, and print what the page says."""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest

from tests.parts.documents import ROOT, Page, agrees, run_program
from tests.parts.node import install_autogen
from tests.parts.workplace import workplace

PAGE = Page(ROOT / "docs" / "sdk.md")


def python(_: Path) -> Sequence[str]:
    return [sys.executable, "-W", "error"]


def node(folder: Path) -> Sequence[str]:
    return [install_autogen(folder)]


@pytest.mark.parametrize(
    ("language", "file", "interpreter"),
    [("python", "program.py", python), ("typescript", "program.mjs", node)],
    ids=["python", "typescript"],
)
def test_a_program_prints_what_the_page_says(
    language: str, file: str, interpreter: Callable[[Path], Sequence[str]]
) -> None:
    steps = PAGE.program(language)
    assert any(step.output for step in steps)
    with workplace("") as here:
        command = interpreter(here.folder)
        outputs = run_program(steps, file=file, command=command, folder=here.folder, env=here.env)
    wrong = [
        f"{PAGE.name}:{step.line}: documented\n{step.output}\nprinted\n{output}"
        for step, output in zip(steps, outputs, strict=True)
        if not agrees(step.output, output)
    ]
    assert not wrong, "\n\n".join(wrong)


def test_the_page_has_the_six_operations_in_both_languages() -> None:
    spelled = {
        "postOrgsOrgIdRegistries": ("post_orgs_org_id_registries(", "orgsOrgIdRegistriesPost("),
        "getOrgsOrgIdRegistries": ("get_orgs_org_id_registries(", "orgsOrgIdRegistriesGet("),
        "getOrgsOrgIdRegistriesRegId": (
            "get_orgs_org_id_registries_reg_id(",
            "orgsOrgIdRegistriesRegIdGet(",
        ),
        "getOrgsOrgIdRegistriesRegIdCreds": (
            "get_orgs_org_id_registries_reg_id_creds(",
            "orgsOrgIdRegistriesRegIdCredsGet(",
        ),
        "patchOrgsOrgIdRegistriesRegId": (
            "patch_orgs_org_id_registries_reg_id(",
            "orgsOrgIdRegistriesRegIdPatch(",
        ),
        "deleteOrgsOrgIdRegistriesRegId": (
            "delete_orgs_org_id_registries_reg_id(",
            "orgsOrgIdRegistriesRegIdDelete(",
        ),
    }
    programs = [
        "".join(block.text for block in PAGE.blocks(language))
        for language in ("python", "typescript")
    ]
    for operation, (python_name, typescript_name) in spelled.items():
        assert f"### {operation}" in PAGE.prose
        assert f"client.registry.{python_name}" in programs[0]
        assert f"sdk.{typescript_name}" in programs[1]
