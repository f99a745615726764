"""``pullpass completion``: a script for the shell."""

from __future__ import annotations

import click
from click.shell_completion import ShellComplete, get_completion_class

PROGRAM = "pullpass"
VARIABLE = "_PULLPASS_COMPLETE"

_EPILOG = """\b
bash:  eval "$(pullpass completion bash)"
zsh:   eval "$(pullpass completion zsh)"
fish:  pullpass completion fish | source
"""


@click.command(epilog=_EPILOG)
@click.argument("shell", type=click.Choice(["bash", "zsh", "fish"]))
@click.pass_context
def completion(ctx: click.Context, shell: str) -> None:
    """Print the completion script of a shell."""
    kind = get_completion_class(shell)
    if kind is None:
        raise click.ClickException(f"There is no completion for {shell}.")
    # Past the class's own source(), which for bash would run the bash of this machine.
    click.echo(ShellComplete.source(kind(ctx.find_root().command, {}, PROGRAM, VARIABLE)))
