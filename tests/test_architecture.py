"""The layout is the architecture: imports point one way, and plugins need nothing."""

from __future__ import annotations

import ast
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

SOURCE = Path(__file__).parents[1] / "src" / "pullpass"

# What each layer may import of ours, besides itself.
ALLOWED = {
    "domain": set(),
    "formats": {"domain"},
    "exchange": {"domain"},
    "sealing": {"domain"},
    "store": {"domain"},
    "broker": {"domain", "formats", "exchange", "sealing", "store"},
    "api": {"domain", "formats", "broker"},
    "web": {"domain", "formats", "broker"},
    "server": {"domain", "exchange", "sealing", "store", "broker", "api", "web"},
    "client": set(),
    "cli": {"client", "plugins"},
    "agent": {"client", "domain", "formats"},
    "plugins": set(),
}
# Registries in other people's files are parsed into domain values, which need no more than the
# standard library.
ALSO = {
    "cli/docker/commands.py": {"domain"},
    "cli/imports/commands.py": {"formats"},
}
# What works on a server's own data imports it in functions: the rest does without its packages.
LATE = {
    "cli/audit.py": {"server"},
    "cli/backup.py": {"server"},
    "cli/init.py": {"server"},
    "cli/keys.py": {"server"},
    "cli/serve.py": {"server"},
    "cli/local.py": {"domain"},
    # The agent logs as the server does.
    "cli/agent.py": {"agent", "server"},
}


def modules() -> list[Path]:
    return sorted(SOURCE.rglob("*.py"))


def imported(path: Path) -> Iterator[tuple[str, list[str], bool]]:
    """Every import of ``path``: the module, the names, and whether it is in a function."""
    tree = ast.parse(path.read_text())
    top = set(tree.body)
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: relative import"
            yield node.module or "", [alias.name for alias in node.names], node not in top
        elif isinstance(node, ast.Import):
            for alias in node.names:
                yield alias.name, [], node not in top


def layer_of(module: str) -> str:
    parts = module.split(".")
    return parts[1] if len(parts) > 1 else ""


@pytest.mark.parametrize("path", modules(), ids=lambda path: str(path.relative_to(SOURCE)))
def test_imports_point_towards_the_domain(path: Path) -> None:
    relative = path.relative_to(SOURCE)
    if len(relative.parts) == 1:
        assert list(imported(path)) == [], "the package itself imports nothing"
        return
    own = relative.parts[0]
    for module, names, late in imported(path):
        if module.split(".")[0] != "pullpass":
            continue
        used = {layer_of(module)} if layer_of(module) else set(names) - {"__version__"}
        allowed = {own} | ALLOWED[own] | ALSO.get(str(relative), set())
        allowed |= LATE.get(str(relative), set()) if late else set()
        assert used <= allowed, f"{relative} imports {module}"


@pytest.mark.parametrize("path", modules(), ids=lambda path: str(path.relative_to(SOURCE)))
def test_no_module_uses_anothers_private_name(path: Path) -> None:
    for module, names, _ in imported(path):
        if module.split(".")[0] == "pullpass":
            private = [name for name in names if name.startswith("_") and name != "__version__"]
            assert not private, f"{path} takes {private} from {module}"


@pytest.mark.parametrize("layer", ["domain", "plugins"])
def test_the_ground_and_the_plugins_need_the_standard_library_only(layer: str) -> None:
    for path in (SOURCE / layer).rglob("*.py"):
        for module, _, _ in imported(path):
            root = module.split(".")[0]
            assert root == "pullpass" or root in sys.stdlib_module_names, f"{path}: {module}"


def test_no_file_is_too_long() -> None:
    long = {
        str(path.relative_to(SOURCE)): count
        for path in modules()
        if (count := len(path.read_text().splitlines())) > 400
    }
    assert long == {}
