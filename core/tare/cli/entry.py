"""Where the command line begins: the quick path, and the way to click for everything that needs words."""

from __future__ import annotations

import posix
import sys

from tare.cli import registry, render
from tare.cli.flags import HelpWanted, Misused, parse
from tare.cli.surroundings import variable
from tare.errors import TareError

TYPE_CHECKING = False
if TYPE_CHECKING:
    import signal

    from tare.cli.flags import Options
    from tare.cli.verb import Verb
    from tare.client.client import Client
    from tare.client.connection import Unreachable
else:
    import _signal as signal


def main() -> None:
    """Perform ``sys.argv`` and leave with its exit code, without the interpreter's own farewell."""
    # As every Unix tool: whose reader has gone (| head) ends without a word.
    signal.signal(signal.SIGPIPE, signal.SIG_DFL)
    _complete_streams()
    try:
        status = command(sys.argv[1:])
    except KeyboardInterrupt:
        signal.signal(signal.SIGINT, signal.SIG_DFL)
        posix.kill(posix.getpid(), signal.SIGINT)
        status = 130
    except OSError as error:
        # Help that cannot be written; what commands meet is told in perform.
        _tell(error)
        status = 1
    posix._exit(status)


def _complete_streams() -> None:
    """A stream that the shell has closed (``<&-``) is nothing, not the number of whatever is opened next."""
    for fd in (0, 1, 2):
        try:
            posix.fstat(fd)
        except OSError:
            posix.open("/dev/null", posix.O_RDWR)


def command(words: list[str]) -> int:
    """The exit code of one command line. On any doubt about its words, click has the say."""
    try:
        globals_ = parse(registry.GLOBALS, words, interspersed=False)
        found = registry.locate(globals_.words)
        if found is None or globals_.flag("version"):
            return _click(words)
        module, path, rest = found
        verb = registry.load(module)
        options = verb.read(path, rest)
    except (Misused, HelpWanted):
        return _click(words)
    return perform(verb, options, globals_)


def perform(verb: Verb, options: Options, globals_: Options) -> int:
    """Do what was understood; errors become text and an exit code here and nowhere else."""
    if signal.getsignal(signal.SIGINT) == signal.SIG_DFL:
        # Until now ctrl-c was to end us on the spot; from now on there may be something to take back.
        signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        return verb.perform(options, client_of(globals_))
    except Misused as wrong:
        render.note(f"tare: {wrong.message}")
        return wrong.exit_code
    except TareError as error:
        render.failure(error)
        return verb.failure
    except OSError as error:
        _tell(error)
        return verb.failure
    except Exception as error:
        if globals_.flag("debug"):
            raise
        render.note(f"tare: this is a defect in tare: {type(error).__name__}: {error} (tare --debug shows where)")
        return verb.failure


def _tell(error: OSError) -> None:
    name = f"{error.filename}: " if error.filename else ""
    render.note(f"tare: {name}{(error.strerror or str(error)).lower()}")


def client_of(globals_: Options) -> Client:
    """The daemon that -H, else TARE_HOST, else the default names. Only the default one is started where none runs."""
    from tare.client.address import DEFAULT, parse
    from tare.client.client import Client

    hosts = globals_.many("host")
    if len(hosts) > 1:
        raise Misused("specify only one -H")
    text = hosts[0] if hosts else variable("TARE_HOST") or ""
    address = parse(text)
    return Client(address, _start if address.text == DEFAULT else _explain)


def _start(error: Unreachable) -> bool:
    from tare.cli import daemon

    return daemon.start(error)


def _explain(error: Unreachable) -> bool:
    from tare.cli import daemon

    daemon.explain(error)
    return False


def _click(words: list[str]) -> int:
    try:
        from tare.cli import commands
    except ModuleNotFoundError:
        # Started without site, and the libraries lie where only site knows.
        import site

        site.main()
        from tare.cli import commands
    return commands.main(words)
