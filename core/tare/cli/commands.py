"""The command tree in click: help, errors with their usage, suggestions. Built from the same table as the quick path."""

from __future__ import annotations

from typing import Any

import click

from tare.cli import completion, entry, registry, render
from tare.cli.flags import Flag, HelpWanted, Misused, Options, parse
from tare.cli.verb import Verb

COMMON = ("run", "exec", "ps", "images", "logs", "stop", "rm", "load", "version", "info")
METAVARS = {"bool": "", "strings": "list", "filter": "filter"}


class Command(click.Command):
    """A verb as click sees it. Click knows the parameters for help and completion; the words are read by our own parser,
    since click knows neither ``--rm=true`` nor Docker's wording."""

    def __init__(self, name: str, path: str, verb: Verb) -> None:
        params: list[click.Parameter] = [_option(flag) for flag in verb.flags]
        super().__init__(name, params=params, help=verb.summary + ".", short_help=verb.summary, add_help_option=True)
        self.path = path
        self.verb = verb
        self.options: Options | None = None

    def collect_usage_pieces(self, ctx: click.Context) -> list[str]:
        return [self.verb.usage] if self.verb.usage else []

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        try:
            self.options = self.verb.read(self.path, args)
        except HelpWanted:
            render.line(self.get_help(ctx))
            ctx.exit(0)
        except Misused as wrong:
            raise _Wrong(wrong, ctx, self.verb.usage) from None
        return []

    def invoke(self, ctx: click.Context) -> int:
        assert self.options is not None
        return entry.perform(self.verb, self.options, ctx.find_root().obj)


class Group(click.Group):
    """A noun (``tare container …``) or the root: commands are imported when somebody asks for them."""

    def __init__(self, path: str, members: dict[str, str], summary: str) -> None:
        super().__init__(path or "tare", help=summary + ".", short_help=summary, invoke_without_command=True)
        self.path = path
        self.members = members

    def list_commands(self, ctx: click.Context) -> list[str]:
        names = [name for name in self.members if name not in registry.ALIASES and not (self.path and name in ("ps", "rmi"))]
        return sorted(names + ([] if self.path else list(registry.GROUPS)))

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name in self.members:
            path = f"{self.path} {cmd_name}".strip()
            return Command(cmd_name, path, registry.load(self.members[cmd_name]))
        if not self.path and cmd_name in registry.GROUPS:
            return Group(cmd_name, registry.GROUPS[cmd_name], registry.GROUP_SUMMARIES[cmd_name])
        return None

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        flags = () if self.path else registry.GLOBALS
        try:
            options = parse(flags, args, interspersed=False)
        except HelpWanted:
            render.line(self.get_help(ctx))
            ctx.exit(0)
        except Misused as wrong:
            raise _Wrong(wrong, ctx, "[OPTIONS] COMMAND") from None
        if not self.path:
            ctx.obj = options
            if options.flag("version"):
                render.line(_version())
                ctx.exit(0)
        if not options.words:
            render.line(self.get_help(ctx))
            ctx.exit(0)
        name, *rest = options.words
        if name == "help" and not self.path:
            name, *rest = [*rest, "--help"]
        if name == "--help":
            render.line(self.get_help(ctx))
            ctx.exit(0)
        if name == "completion" and not self.path:
            ctx.exit(completion.show(rest))
        command = self.get_command(ctx, name)
        if command is None:
            raise _missing(self, name, ctx)
        ctx.meta["tare.command"] = (name, command, rest)
        return []

    def invoke(self, ctx: click.Context) -> int:
        name, command, rest = ctx.meta.pop("tare.command")
        with command.make_context(name, rest, parent=ctx) as inner:
            return int(command.invoke(inner))

    def format_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        if not self.path:
            rows = [_row(flag) for flag in registry.GLOBALS if not flag.hidden]
            with formatter.section("Options"):
                formatter.write_dl(rows)
        self.format_commands(ctx, formatter)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        commands = {name: self.get_command(ctx, name) for name in self.list_commands(ctx)}
        rows = {name: command.get_short_help_str(100) for name, command in commands.items() if command}
        sections = {"Commands": list(rows)}
        if not self.path:
            sections = {
                "Common commands": list(COMMON),
                "Nouns": list(registry.GROUPS),
                "Commands": [name for name in rows if name not in COMMON and name not in registry.GROUPS],
            }
        for title, names in sections.items():
            with formatter.section(title):
                formatter.write_dl([(name, rows[name]) for name in names])

    def collect_usage_pieces(self, ctx: click.Context) -> list[str]:
        return ["COMMAND"] if self.path else ["[OPTIONS] COMMAND"]


class _Wrong(click.UsageError):
    """A misused command, shown as Docker's users know it."""

    def __init__(self, wrong: Misused, ctx: click.Context, usage: str) -> None:
        super().__init__(wrong.message, ctx)
        self.code = wrong.exit_code
        self.usage = usage

    def describe(self) -> str:
        path = self.ctx.command_path if self.ctx else "tare"
        text = f"tare: {self.message}"
        if self.usage:
            text += f"\n\nUsage:  {path} {self.usage}"
        return f"{text}\n\nSee '{path} --help'."


class _NotYet(_Wrong):
    """A command of Docker's that tare is to have: there is no help to point to."""

    def describe(self) -> str:
        return f"tare: {self.message}"


def root() -> Group:
    """The whole tree."""
    return Group("", registry.PLAIN, "A container engine for Linux")


def main(words: list[str]) -> int:
    """Perform a command line in click; its exit code."""
    try:
        return int(root().main(words, prog_name="tare", standalone_mode=False) or 0)
    except _Wrong as wrong:
        render.note(wrong.describe())
        return wrong.code
    except click.exceptions.Exit as leaving:
        return int(leaving.exit_code)
    except click.Abort:
        return 130


def _option(flag: Flag) -> click.Option:
    names = [f"--{flag.name}", flag.name.replace("-", "_")] + ([f"-{flag.short}"] if flag.short else [])
    extra: dict[str, Any] = {"is_flag": True} if flag.kind == "bool" else {"metavar": METAVARS.get(flag.kind, flag.kind)}
    return _Option(names, help=flag.help, hidden=flag.hidden or flag.refused, **extra)


class _Option(click.Option):
    """Short name first, as everywhere else."""

    def get_help_record(self, ctx: click.Context) -> tuple[str, str] | None:
        if self.hidden:
            return None
        long, short = self.opts[0], next((f"{name}, " for name in self.opts[1:]), "    ")
        return f"{short}{long} {self.metavar or ''}".rstrip(), self.help or ""


def _row(flag: Flag) -> tuple[str, str]:
    short = f"-{flag.short}, " if flag.short else "    "
    kind = METAVARS.get(flag.kind, flag.kind)
    return f"{short}--{flag.name} {kind}".rstrip(), flag.help


def _missing(group: Group, name: str, ctx: click.Context) -> _Wrong:
    path = f"{group.path} {name}".strip()
    if path in registry.NOT_YET:
        cure = registry.NOT_YET[path]
        text = f"`tare {path}` is not available yet" + (f"\n  {cure}" if cure else "")
        return _NotYet(Misused(text, 1), ctx, "")
    from difflib import get_close_matches

    near = get_close_matches(name, [*group.members, *([] if group.path else registry.GROUPS)], 1, 0.7)
    guess = f"; did you mean `tare {f'{group.path} {near[0]}'.strip()}`?" if near else ""
    return _Wrong(Misused(f"'{path}' is not a tare command{guess}", 1), ctx, "")


def _version() -> str:
    from importlib.metadata import version

    return f"tare version {version('tare-engine')}"
