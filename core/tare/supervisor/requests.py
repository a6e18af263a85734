"""What tared may ask: one method for each request of messages."""

from __future__ import annotations

import os

from tare.errors import Conflict, Exhausted, Internal, Invalid, NotFound, TareError, Unsupported
from tare.supervisor import messages, spares
from tare.supervisor.attach import Client
from tare.supervisor.messages import close_all
from tare.supervisor.notes import note, report
from tare.supervisor.start import Start, resize
from tare.supervisor.streams import STDERR, STDOUT
from tare.supervisor.templates import Template

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from tare.supervisor.channel import Channel
    from tare.supervisor.main import Supervisor
    from tare.supervisor.messages import Body
    from tare.supervisor.process import Process

    Perform = Callable[["Request"], Body | None]

BUILD = "0.1.0"
RAISE_LIMIT = "raise tared's limit of open files (LimitNOFILE)"


class Request:
    """One question of one peer. A method that answers later returns None and calls ``reply``."""

    __slots__ = ("body", "channel", "fds", "serial")

    def __init__(self, channel: Channel, serial: int, body: Body, fds: list[int]) -> None:
        self.channel = channel
        self.serial = serial
        self.body = body
        self.fds = fds

    def take_fds(self) -> list[int]:
        """The descriptors, from now on the caller's to close."""
        taken, self.fds = self.fds, []
        return taken

    def reply(self, answer: Body | TareError | None) -> None:
        """Answer, now or later, if an answer is wanted."""
        if not isinstance(answer, TareError):
            if self.serial:
                self.channel.answer(self.serial, answer or {})
        elif self.serial:
            self.channel.refuse(self.serial, answer)
        elif not isinstance(answer, NotFound):
            note(f"tared: {answer}")

    @property
    def key(self) -> tuple[str, str]:
        """Which process it is about."""
        return self.body["container"], self.body["exec"]


class Requests:
    """Answers every message with exactly one ``ok`` or ``error``, whatever it holds."""

    def __init__(self, supervisor: Supervisor) -> None:
        self._supervisor = supervisor
        self._corked: dict[str, tuple[Channel, Client]] = {}
        self._perform: dict[str, Perform] = {
            "hello": self.hello,
            "template": self.template,
            "start": self.start,
            "attach": self.attach,
            "play": self.play,
            "discard": self.discard,
            "signal": self.signal,
            "resize": self.resize,
            "spares": self.spares,
            "resume": self.resume,
            "flush": self.flush,
            "acknowledge": self.acknowledge,
            "clean": self.clean,
            "forget": self.forget,
            "hold": self.hold,
            "release": self.release,
            "stop": self.stop,
        }

    def hear(self, channel: Channel, kind: str, serial: int, body: Body, fds: list[int]) -> None:
        """Perform one request."""
        request = Request(channel, serial, body, fds)
        try:
            perform = self._perform.get(kind)
            if perform is None:
                raise Unsupported(f"the supervisor does not know {kind}", hint="its version is another than tared's")
            answer = perform(request)
            if answer is not None:
                request.reply(answer)
        except TareError as error:
            request.reply(error)
        except (KeyError, TypeError, ValueError, IndexError) as error:
            report()
            request.reply(Invalid(f"{kind}: {type(error).__name__}: {error}"))
        except Exception as error:
            report()
            request.reply(Internal(f"{kind}: {error}"))
        finally:
            close_all(request.fds)

    def left(self, channel: Channel) -> None:
        """Who was writing to a corked client is gone."""
        for id, (owner, client) in list(self._corked.items()):
            if owner is channel:
                del self._corked[id]
                client.close()

    def hello(self, request: Request) -> Body | None:
        oldest, newest = request.body["versions"]
        version = min(newest, messages.VERSION)
        if version < max(oldest, messages.OLDEST):
            raise Unsupported(
                f"the supervisor speaks versions {messages.OLDEST} to {messages.VERSION}, tared {oldest} to {newest}",
                hint="stop all containers, then the supervisor, or start the matching tared",
            )
        supervisor = self._supervisor
        if request.channel not in supervisor.listeners:
            supervisor.listeners.append(request.channel)
        known = list(supervisor.processes.values())
        request.reply(
            {
                "version": version,
                "pid": os.getpid(),
                "build": BUILD,
                "processes": [one.described() for one in known],
                "held": supervisor.ports.owners,
            }
        )
        for process in known:
            if process.exit is not None:
                request.channel.send("exit", 0, process.ending())
        return None

    def template(self, request: Request) -> Body | None:
        supervisor, body = self._supervisor, request.body
        name, build = body["runtime"], body.get("build", "")
        known = supervisor.templates.get(name)
        if known is None or known.build != build:
            if known is not None:
                known.retire()
            supervisor.templates[name] = Template(supervisor.loop, name, build, supervisor.soft_files, supervisor.shielded)
        supervisor.templates[name].prepare(
            body["entry"], body["path"], lambda said: request.reply(said if isinstance(said, TareError) else {})
        )
        return None

    def start(self, request: Request) -> Body | None:
        supervisor, key, body = self._supervisor, request.key, request.body
        before = supervisor.processes.get(key)
        if key in supervisor.starting or (before is not None and before.exit is None):
            raise Conflict(f"{key[1] or key[0]} runs already", subject=key[1] or key[0])
        if before is not None:
            self._forget(before)
        launch = body["launch"]
        if bool(launch["entry"]) == bool(launch["argv"]):
            raise Invalid("a launch has either an entry or a command")
        def answered(answer: Body | TareError) -> None:
            del supervisor.starting[key]
            if not isinstance(answer, TareError):
                supervisor.processes[key] = start.process
            request.reply(answer)

        fds, clients = request.take_fds(), supervisor.waiting.pop(key, [])
        if body.get("client"):
            clients.append(self._client(key, body["client"], fds.pop()))
        start = Start(supervisor, body, fds, clients, answered)
        supervisor.starting[key] = start
        supervisor.cleaning.when_gone(launch["cgroups"], start.begin)
        return None

    def attach(self, request: Request) -> Body | None:
        supervisor, body, key = self._supervisor, request.body, request.key
        if len(request.fds) != 1:
            raise Invalid("attach needs one socket")
        process = supervisor.processes.get(key)
        if process is not None and process.adopted and process.running:
            raise Conflict(f"the streams of {key[1] or key[0]} are lost", subject=key[0])
        running = process is not None and process.exit is None
        replay = bool(body.get("replay"))
        if replay and not running:
            raise _not_running(request)
        client = self._client(key, body, request.take_fds()[0])
        if replay:
            self._corked[client.id] = request.channel, client
        if key in supervisor.starting:
            supervisor.starting[key].attach(client)
        elif process is not None and running:
            if replay:
                process.drain()
            process.join(client)
        else:
            supervisor.waiting.setdefault(key, []).append(client)
        if not replay:
            return {}
        # Without a log that can be asked there is nothing to be replayed any more.
        log = process.log if process is not None else 0
        supervisor.journal.flush(
            log, lambda place: request.reply({} if isinstance(place, TareError) else place), place=True
        )
        return None

    def play(self, request: Request) -> Body | None:
        _channel, client = self._corked.pop(request.body["id"], (None, None))
        if client is not None:
            client.uncork()
        return {}

    def _client(self, key: tuple[str, str], body: Body, fd: int) -> Client:
        supervisor = self._supervisor
        client = Client(
            supervisor.loop,
            fd,
            body["id"],
            wants_input=body["stdin"],
            streams=frozenset([number for number, name in ((STDOUT, "stdout"), (STDERR, "stderr")) if body[name]]),
            framed=body["framed"],
            keys=body["detach_keys"],
            initial=body["initial"],
            corked=bool(body.get("replay")),
        )
        client.detached = lambda one: supervisor.tell("detached", {"container": key[0], "exec": key[1], "id": one.id})
        return client

    def discard(self, request: Request) -> Body | None:
        for client in self._supervisor.waiting.pop(request.key, ()):
            client.close()
        return {}

    def signal(self, request: Request) -> Body | None:
        try:
            self._running(request).send_signal(request.body["signal"])
        except ProcessLookupError as error:
            raise _not_running(request) from error
        except OSError as error:
            raise Invalid(f"signal {request.body['signal']}: {error.strerror}") from error
        return {}

    def resize(self, request: Request) -> Body | None:
        process = self._running(request)
        if process.terminal < 0:
            raise Conflict(f"{request.key[1] or request.key[0]} has no terminal", subject=request.key[0])
        resize(process.terminal, request.body["rows"], request.body["columns"])
        return {}

    def spares(self, request: Request) -> Body | None:
        answer, fds = spares.of(self._running(request))
        request.channel.answer(request.serial, answer, fds)
        return None

    def resume(self, request: Request) -> Body | None:
        process, body = self._supervisor.processes.get(request.key), request.body
        if process is None:
            raise _not_running(request)
        if not process.adopted:
            raise Conflict(f"the streams of {request.key[1] or request.key[0]} are here", subject=request.key[0])
        if len(request.fds) != len(body["streams"]) or not spares.NUMBERS.keys() >= set(body["streams"]):
            raise Invalid(f"resume brings {len(request.fds)} descriptors as {', '.join(body['streams'])}")
        spares.resume(process, body, request.take_fds(), self._supervisor.journal)
        if process.exit is not None:
            process.wind_up()
            process.release()
        return {}

    def flush(self, request: Request) -> Body | None:
        process = self._supervisor.processes.get((request.body["container"], ""))
        if process is not None and process.exit is None:
            process.drain()
        log = process.log if process is not None else 0
        self._supervisor.journal.flush(log, request.reply)
        return None

    def acknowledge(self, request: Request) -> Body | None:
        process = self._supervisor.processes.get(request.key)
        if process is not None and process.exit is not None:
            self._forget(process)
        return {}

    def clean(self, request: Request) -> Body | None:
        self._supervisor.cleaning.remove(request.body["paths"])
        return {}

    def forget(self, request: Request) -> Body | None:
        request.body["exec"] = ""
        self.discard(request)
        self.acknowledge(request)
        return self.clean(request)

    def hold(self, request: Request) -> Body | None:
        body = request.body
        count, forwards = body["sockets"], [tuple(forward) for forward in body["forwards"]]
        if len(request.fds) > count + len(forwards):
            raise Invalid(f"hold names {count + len(forwards)} sockets and brings {len(request.fds)}")
        if len(request.fds) < count + len(forwards):
            # The kernel drops descriptors for which there is no room (unix(7), SCM_RIGHTS).
            raise Exhausted("the supervisor cannot hold the published ports: too many open files", hint=RAISE_LIMIT)
        fds = request.take_fds()
        self._supervisor.ports.hold(body["owner"], fds[:count], forwards, fds[count:])
        return {}

    def release(self, request: Request) -> Body | None:
        self._supervisor.ports.release(request.body["owner"], request.reply)
        return None

    def stop(self, request: Request) -> Body | None:
        supervisor = self._supervisor
        if supervisor.starting or any(process.exit is None for process in supervisor.processes.values()):
            raise Conflict("processes still run")
        request.reply({})
        supervisor.loop.stop()
        return None

    def _running(self, request: Request) -> Process:
        process = self._supervisor.processes.get(request.key)
        if process is None or not process.running:
            raise _not_running(request)
        return process

    def _forget(self, process: Process) -> None:
        del self._supervisor.processes[process.key]
        self._supervisor.ledger.drop(process)


def _not_running(request: Request) -> NotFound:
    name = request.key[1] or request.key[0]
    return NotFound(f"{name} is not running", subject=name)
