"""Completion scripts for bash, zsh and fish, written from the table of commands and flags.

The scripts in contrib/completions are what this module writes; ``tare completion bash`` prints one. Names of containers
and images are asked of ``tare`` itself when somebody presses the key.
"""

from __future__ import annotations

from tare.cli import registry, render
from tare.cli.flags import Flag
from tare.cli.verb import Verb

SHELLS = ("bash", "zsh", "fish")
CONTAINERS = "env TARE_NO_AUTOSTART=1 tare ps -a --format '{{.Names}}'"
IMAGES = "env TARE_NO_AUTOSTART=1 tare images --filter dangling=false --format '{{.Repository}}:{{.Tag}}'"
NETWORKS = "env TARE_NO_AUTOSTART=1 tare network ls --format '{{.Name}}'"
PLUGINS = "env TARE_NO_AUTOSTART=1 tare plugin ls --format '{{.Name}}'"
SOURCES = (
    ("FILE|", ""),
    ("CONTAINER", CONTAINERS),
    ("IMAGE", IMAGES),
    ("REPOSITORY", IMAGES),
    ("NETWORK", NETWORKS),
    ("PLUGIN", PLUGINS),
    ("NAME|ID", CONTAINERS),
)
"""(what a usage mentions, the command that lists such names)."""
MARK = "# Written by `tare completion {shell}`; see core/tare/cli/completion.py."


def show(words: list[str]) -> int:
    """``tare completion SHELL``."""
    if len(words) != 1 or words[0] not in SHELLS:
        render.note("tare: 'tare completion' requires one of bash, zsh, fish")
        return 1
    render.out(script(words[0]))
    return 0


def script(shell: str) -> str:
    return {"bash": _bash, "zsh": _zsh, "fish": _fish}[shell]()


def commands() -> list[tuple[str, Verb]]:
    """Every command under every name, sorted."""
    found = {name: registry.load(module) for name, module in registry.PLAIN.items()}
    for group, members in registry.GROUPS.items():
        found.update((f"{group} {name}", registry.load(module)) for name, module in members.items())
    return sorted(found.items())


def _source(verb: Verb) -> str:
    """The command that lists what the words of a verb may be; nothing where they are files."""
    for mark, source in SOURCES:
        if mark in verb.usage:
            return source
    return ""


def _visible(flags: tuple[Flag, ...] | list[Flag]) -> list[Flag]:
    return [flag for flag in flags if not flag.hidden and not flag.refused]


def _words(flags: list[Flag]) -> str:
    return " ".join([f"--{flag.name}" for flag in flags] + [f"-{flag.short}" for flag in flags if flag.short])


def _bash() -> str:
    cases = []
    for path, verb in commands():
        flags = _words(_visible(list(verb.flags)))
        cases.append(f'    "{path}") flags="{flags}"; names="{_escaped(_source(verb))}" ;;')
    groups = "\n".join(f'    {group}) words="{" ".join(sorted(members))}" ;;' for group, members in registry.GROUPS.items())
    first = " ".join(sorted([*registry.PLAIN, *registry.GROUPS]))
    # Not called path: in zsh that is PATH.
    return f"""{MARK.format(shell="bash")}
_tare() {{
  local current="${{COMP_WORDS[COMP_CWORD]}}" verb="" index=1 word words="" flags="" names=""
  while [ "$index" -lt "$COMP_CWORD" ]; do
    word="${{COMP_WORDS[index]}}"
    case "$word" in
      -H|--host) [ -z "$verb" ] && index=$((index + 1)) ;;
      -*) ;;
      *) case "$verb" in
           "") verb="$word" ;;
           {"|".join(registry.GROUPS)}) verb="$verb $word" ;;
         esac ;;
    esac
    index=$((index + 1))
  done
  case "$verb" in
    "") words="{first}"; flags="{_words(_visible(list(registry.GLOBALS)))}" ;;
{groups}
{chr(10).join(cases)}
  esac
  case "${{COMP_WORDS[COMP_CWORD-1]}}" in
    --network|--net) names="{_escaped(NETWORKS)}" ;;
  esac
  case "$current" in
    -*) words="$flags" ;;
    *) [ -n "$names" ] && words="$(eval "$names" 2>/dev/null)" ;;
  esac
  COMPREPLY=($(compgen -W "$words" -- "$current"))
}}
complete -o default -F _tare tare
"""


def _zsh() -> str:
    return f"""#compdef tare
{MARK.format(shell="zsh")}
autoload -U +X bashcompinit && bashcompinit
{_bash().split(chr(10), 1)[1]}"""


def _fish() -> str:
    lines = [MARK.format(shell="fish"), _FISH.format(groups=" ".join(registry.GROUPS)), "complete -c tare -f"]
    lines += _fish_flags("__tare_is ''", _visible(list(registry.GLOBALS)))
    summaries = {name: registry.load(module).summary for name, module in registry.PLAIN.items()} | registry.GROUP_SUMMARIES
    lines += [f"complete -c tare -n \"__tare_is ''\" -a {name} -d {_quoted(text)}" for name, text in sorted(summaries.items())]
    for group, members in registry.GROUPS.items():
        lines.append(f"complete -c tare -n '__tare_is {group}' -a '{' '.join(sorted(members))}'")
    paths: dict[int, tuple[Verb, list[str]]] = {}
    for path, verb in commands():
        paths.setdefault(id(verb), (verb, []))[1].append(path)
    for verb, names in paths.values():
        condition = "__tare_is " + " ".join(f'"{name}"' if " " in name else name for name in names)
        lines += _fish_flags(condition, _visible(list(verb.flags)))
        if source := _source(verb):
            lines.append(f"complete -c tare -n '{condition}' -a {_quoted(f'({source})')}")
        elif verb.most != 0:
            lines.append(f"complete -c tare -n '{condition}' -F")
    return "\n".join(lines) + "\n"


def _fish_flags(condition: str, flags: list[Flag]) -> list[str]:
    lines = []
    quoted = f'"{condition}"' if "'" in condition else f"'{condition}'"
    for flag in flags:
        short = f" -s {flag.short}" if flag.short else ""
        takes = "" if flag.kind == "bool" else " -r"
        if flag.kind == "network":
            takes = f" -x -a {_quoted(f'({NETWORKS})')}"
        lines.append(f"complete -c tare -n {quoted}{short} -l {flag.name}{takes} -d {_quoted(flag.help)}")
    return lines


_FISH = """
function __tare_is -d "Whether the command so far is one of these"
    set -l words (commandline -opc)
    set -l path
    set -l skip
    for word in $words[2..]
        if test -n "$skip"
            set skip
            continue
        end
        switch $word
            case -H --host
                test -z "$path"; and set skip yes
            case '-*'
            case '*'
                if test -z "$path"
                    set path $word
                else if contains -- "$path" {groups}
                    set path "$path $word"
                end
        end
    end
    contains -- "$path" $argv
end
"""


def _escaped(text: str) -> str:
    return text.replace("\\", "\\\\").replace('"', '\\"').replace("$", "\\$").replace("`", "\\`")


def _quoted(text: str) -> str:
    inner = text.replace("\\", "\\\\").replace("'", "\\'")
    return f"'{inner}'"
