"""`reproq completion`: the script that lets a shell ask `reproq` itself what could come next.

What it offers is static (commands, options, statuses, kinds, executors): a key press never waits for a database.
"""

from typing import Final

import click
from click.shell_completion import ShellComplete, get_completion_class

VARIABLE: Final = "_REPROQ_COMPLETE"
PLACES: Final = {
    "bash": "reproq completion bash > ~/.local/share/bash-completion/completions/reproq",
    "zsh": 'reproq completion zsh > "${fpath[1]}/_reproq"',
    "fish": "reproq completion fish > ~/.config/fish/completions/reproq.fish",
}
"""What installs the script in each shell."""


@click.command(epilog="\b\nTo install it, once:\n  " + "\n  ".join(PLACES.values()))
@click.argument("shell", type=click.Choice(list(PLACES)))
def completion(shell: str) -> None:
    """Print a script that completes reproq in your shell. It knows commands, options, and the values of options."""
    click.echo(script(shell))


def script(shell: str) -> str:
    """The script of one shell, made by click."""
    from reproq.cli import reproq

    made = get_completion_class(shell)
    if made is None:
        raise click.UsageError(f"there is no completion for {shell}; the shells are {', '.join(PLACES)}")
    # The base's `source`: that of bash would start the bash of this machine to ask for its version.
    return ShellComplete.source(made(reproq, {}, "reproq", VARIABLE))
