"""tare exec: a further process in a running container."""

from __future__ import annotations

from tare.cli import render
from tare.cli.flags import Flag
from tare.cli.verb import Verb
from tare.client import containers
from tare.errors import Conflict, TareError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from tare.cli.flags import Options
    from tare.client.client import Client

FLAGS = (
    Flag("detach", "d", "bool", "Run in the background"),
    Flag("detach-keys", "", "string", "Keys that leave the process (default ctrl-p,ctrl-q)"),
    Flag("env", "e", "list", "Set an environment variable"),
    Flag("env-file", "", "list", "Read environment variables from a file"),
    Flag("interactive", "i", "bool", "Keep stdin open"),
    Flag("privileged", "", "bool", "Give the process all privileges"),
    Flag("tty", "t", "bool", "Give the process a terminal"),
    Flag("user", "u", "string", "User name or number (name|uid[:group|gid])"),
    Flag("workdir", "w", "string", "Working directory inside the container"),
)
MEMBERS = (("user", "User"), ("workdir", "WorkingDir"), ("privileged", "Privileged"), ("detach-keys", "DetachKeys"))


def execute(options: Options, client: Client) -> int:
    ref, *command = options.words
    tty, interactive, detached = options.flag("tty"), options.flag("interactive"), options.flag("detach")
    body: dict[str, Any] = {"Cmd": command, "Tty": tty}
    if not detached:
        body |= {"AttachStdin": interactive, "AttachStdout": True, "AttachStderr": True}
    body.update((member, options.given[flag]) for flag, member in MEMBERS if flag in options.given)
    if "env" in options.given or "env-file" in options.given:
        from tare.cli.wish.environment import environment

        body["Env"] = environment(options.many("env"), options.many("env-file"))
    if tty:
        from tare.cli import terminal

        rows, columns = terminal.size()
        if rows:
            body["ConsoleSize"] = [rows, columns]
        if interactive and not detached:
            _check_terminal()
    id = containers.exec_create(client, ref, body)
    try:
        if detached:
            containers.exec_detached(client, id, tty=tty)
            return 0
        return _attached(client, id, options)
    except TareError as error:
        from tare.cli.attachment import start_code

        render.failure(error)
        code = start_code(error)
        return 1 if code == 125 else code


def _attached(client: Client, id: str, options: Options) -> int:
    from tare.cli import streams

    tty, stdin = options.flag("tty"), options.flag("interactive")
    connection, _media = containers.exec_start(client, id, tty=tty).stream()
    output = streams.Output(framed=not tty)
    left = False
    if tty:
        from tare.cli import terminal

        aside = client.another()
        terminal.follow_size(lambda rows, columns: containers.exec_resize(aside, id, rows, columns))
        keys = terminal.detach_keys(options.text("detach-keys"))
        with terminal.Raw(0 if stdin else -1):
            left = streams.attend(connection, output, stdin=stdin, keys=keys)
    else:
        streams.attend(connection, output, stdin=stdin)
    if left:
        render.note("read escape sequence")
        return 0
    found = containers.exec_inspect(client, id)
    if found.get("Running"):
        render.note("the output of the command is lost: the supervisor was killed; waiting for its end")
        found = _ended(client, id)
    return int(found.get("ExitCode") or 0)


def _ended(client: Client, id: str) -> dict[str, Any]:
    """The API has no wait for an exec."""
    import time

    pause = 0.02
    while (found := containers.exec_inspect(client, id)).get("Running"):
        time.sleep(pause)
        pause = min(pause * 2, 1.0)
    return found


def _check_terminal() -> None:
    import posix

    if not posix.isatty(0):
        from tare.cli.attachment import NOT_A_TERMINAL

        raise Conflict(NOT_A_TERMINAL, hint="leave out -t, or type the command in a terminal")


VERB = Verb(
    execute,
    "Run a command in a running container",
    "[OPTIONS] CONTAINER COMMAND [ARG...]",
    FLAGS,
    least=2,
    most=None,
    interspersed=False,
)
