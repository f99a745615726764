"""The documentation as its tests read it: pages, the blocks in them, and a shell to run those.

A ```console block is a session: `$ ` before a command, `> ` before each line that continues it,
what it prints below. A ```sh block cannot run in a test, for it needs what only its reader has.
The ```python blocks of a page are one program, and so are those of ```typescript; a ```text block
right after one is what it prints.
"""

from __future__ import annotations

import json
import re
import shlex
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[2]
_FENCE = "```"
# Between the outputs of two commands; no command of a page prints it.
_MARK = "--- end of a documented command ---"
_SECONDS = 300


@dataclass(frozen=True, slots=True)
class Block:
    """``line`` is the number of the first line within the fences, as editors count."""

    language: str
    text: str
    line: int


@dataclass(frozen=True, slots=True)
class Step:
    """One command of a session, what the page says that it prints, and where that stands."""

    command: str
    output: str
    line: int


@dataclass(frozen=True, slots=True)
class Page:
    path: Path

    @property
    def name(self) -> str:
        return str(self.path.relative_to(ROOT))

    @property
    def text(self) -> str:
        return self.path.read_text()

    @property
    def prose(self) -> str:
        """The page without its blocks."""
        kept, inside = [], False
        for line in self.text.splitlines():
            if line.startswith(_FENCE):
                inside = not inside
            elif not inside:
                kept.append(line)
        return "\n".join(kept)

    def blocks(self, language: str) -> list[Block]:
        found: list[Block] = []
        opened: tuple[str, int] | None = None
        lines: list[str] = []
        for number, line in enumerate(self.text.splitlines(), 1):
            if not line.startswith(_FENCE):
                lines.append(line)
            elif opened is None:
                opened, lines = (line.removeprefix(_FENCE), number + 1), []
            else:
                found.append(Block(opened[0], "\n".join(lines) + "\n", opened[1]))
                opened = None
        assert opened is None, f"{self.name}: a block is never closed"
        return [block for block in found if block.language == language]

    def program(self, language: str) -> list[Step]:
        """The blocks of a programming language, each with what the page says that it prints."""
        printed = {block.line: block.text for block in self.blocks("text")}
        # The fence that ends the block, an empty line, the fence of the output.
        return [
            Step(
                block.text,
                printed.get(block.line + block.text.count("\n") + 3, "").removesuffix("\n"),
                block.line,
            )
            for block in self.blocks(language)
        ]

    def steps(self) -> list[Step]:
        return [step for block in self.blocks("console") for step in _steps(self.name, block)]


def pages(*patterns: str) -> list[Page]:
    """The pages that the patterns name, from the root of the repository."""
    return [Page(path) for pattern in patterns for path in sorted(ROOT.glob(pattern))]


def run_session(steps: Sequence[Step], *, folder: Path, env: Mapping[str, str]) -> list[str]:
    """What each command prints, both streams together, in one shell from the first to the last.

    ``folder`` is where the session takes place.
    """
    # `$?` of the command before is there for the next one.
    script = "".join(
        f"eval {shlex.quote(step.command)}\n"
        f"documented_status=$?; printf '\\n%s\\n' {shlex.quote(_MARK)}; (exit $documented_status)\n"
        for step in steps
    )
    return _outputs(["bash", "--norc", "--noprofile", "-c", script], steps, folder, env)


def run_program(
    steps: Sequence[Step],
    *,
    file: str,
    command: Sequence[str],
    folder: Path,
    env: Mapping[str, str],
) -> list[str]:
    """What each block prints, when all of them together are ``file`` and ``command`` runs that."""
    says = "print" if file.endswith(".py") else "console.log"
    text = "\n".join(f"{step.command}\n{says}({json.dumps(chr(10) + _MARK)})" for step in steps)
    (folder / file).write_text(text)
    return _outputs([*command, file], steps, folder, env)


def _outputs(
    command: Sequence[str], steps: Sequence[Step], folder: Path, env: Mapping[str, str]
) -> list[str]:
    done = subprocess.run(
        command,
        cwd=folder,
        env=dict(env),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        timeout=_SECONDS,
        check=False,
    )
    outputs = done.stdout.decode(errors="replace").split(f"\n{_MARK}\n")
    assert len(outputs) == len(steps) + 1, f"it ended early:\n{outputs[-1]}"
    return outputs[:-1]


# What differs from run to run, and what stands for it in a comparison.
_UNSTABLE = (
    (re.compile(r"\d{4}-\d\d-\d\d[T ]\d\d:\d\d:\d\d(?:\.\d+)?(?:Z| UTC|\+00:00)"), "(time)"),
    (re.compile(r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}"), "(uuid)"),
    (re.compile(r"\bppt_(?:[0-9A-Za-z]+|…)"), "(token)"),
    (re.compile(r"\b[0-9a-f]{32}\b"), "(request)"),
    (re.compile(r"\b127\.0\.0\.1(:| port )\d+"), r"127.0.0.1\1(port)"),
    # Columns are as wide as what stands in them.
    (re.compile(r"[ \t]{2,}"), "  "),
    (re.compile(r"[ \t\r]+$", re.MULTILINE), ""),
    (re.compile(r"\n{2,}"), "\n"),
)


def normalised(text: str) -> str:
    """``text`` without what differs from run to run: times, ids, tokens, ports, padding."""
    for pattern, stands_for in _UNSTABLE:
        text = pattern.sub(stands_for, text)
    return text.strip("\n")


def agrees(documented: str, printed: str) -> bool:
    """Whether a command printed what its page says.

    `…` stands for anything within a line, and on a line of its own for any number of lines.
    """
    pattern = "".join(
        "(?:.*\n)*?" if line.strip() == "…" else re.escape(line).replace("…", ".*?") + "\n"
        for line in normalised(documented).splitlines()
    )
    actual = normalised(printed)
    return re.fullmatch(pattern, f"{actual}\n" if actual else "") is not None


def _steps(page: str, block: Block) -> list[Step]:
    found: list[tuple[list[str], list[str], int]] = []
    for number, line in enumerate(block.text.splitlines(), block.line):
        if line.startswith("$ "):
            found.append(([line[2:]], [], number))
            continue
        assert found, f"{page}:{number}: a console block begins with a command ('$ ')"
        command, output, _ = found[-1]
        if line.startswith("> ") and not output:
            command.append(line[2:])
        else:
            output.append(line)
    return [Step("\n".join(c), "\n".join(o), line) for c, o, line in found]
