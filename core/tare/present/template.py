"""Go templates as Docker's users write them: ``--format`` and ``inspect -f``."""

from __future__ import annotations

from tare.errors import Invalid
from tare.present.go_values import NIL, Anything, Number, Struct, show, truth
from tare.present.template_functions import FUNCTIONS, LONGEST, TOO_LONG, Complaint, Function, fits
from tare.present.template_syntax import Node, parse
from tare.present.template_tokens import SyntaxFault, quoted

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from typing import Any

_DEPTH = 50
"""Of templates that call each other; Go stops at 100000."""

_STEPS = 1_000_000
"""Nodes that one rendering may walk: the daemon renders too, and ``range 1000000000`` must not stop it."""

_OUTPUT = 16 << 20
"""Characters that one rendering may give."""


class Template:
    """A parsed template. Raises Invalid, worded as the docker client words it, for a text that is none."""

    def __init__(self, text: str) -> None:
        try:
            self._body, self._defined = parse(text, FUNCTIONS)
        except SyntaxFault as fault:
            raise Invalid(f"template parsing error: {fault}", subject=text) from None
        self._text = text

    def fields(self) -> list[tuple[str, str]] | None:
        """(text before, field) pairs, the last field empty, where the template is nothing but ``{{.Field}}`` and text."""
        pairs, before = [], ""
        for node in self._body:
            if node.kind == "text":
                before += node.text
                continue
            pipe = node.children[0] if node.kind == "action" else None
            operands = pipe.children[0].children if pipe and not pipe.declared and len(pipe.children) == 1 else []
            if len(operands) != 1 or operands[0].kind != "field" or len(operands[0].path) != 1:
                return None
            pairs.append((before, operands[0].path[0]))
            before = ""
        return [*pairs, (before, "")]

    def render(
        self,
        value: Any,
        *,
        strict: bool = False,
        functions: Mapping[str, Function] = FUNCTIONS,
        complaint: str = "template parsing error",
    ) -> str:
        """The text for one value, which is made of JSON's types and those of tare.present.go_values.

        ``strict``: a key that a map lacks is an error, not ``<no value>``. Raises Invalid, whose text begins with ``complaint``.
        """
        run = _Run(self._text, self._defined, functions, strict)
        try:
            run.walk(self._body, value, [("$", value)], 0)
        except _Fault as fault:
            raise Invalid(f"{complaint}: {run.describe(fault)}", subject=self._text) from None
        except (_Break, _Continue):
            pass
        return "".join(run.out)


def render(template: str, value: Any, kind: str = "") -> str:
    """What ``inspect -f TEMPLATE`` prints for one object, without the newline.

    ``value`` is the object's API JSON; ``kind`` (container, image, network, version) gives its parts the names, order and types
    of Docker's own structures. As in docker, a name that these lack is looked up among the JSON keys. Raises Invalid.
    """
    parsed = Template(template)
    if kind:
        from tare.present.inspect_types import typed

        try:
            return parsed.render(typed(kind, value))
        except Invalid:
            value = _untyped(value)
    return parsed.render(value, strict=True)


def _untyped(value: Any) -> Any:
    """JSON as Go has it that decodes into no structure."""
    if isinstance(value, dict):
        return {key: _untyped(member) for key, member in value.items()}
    if isinstance(value, list):
        return Anything(_untyped(item) for item in value)
    return Number(value) if isinstance(value, (int, float)) and not isinstance(value, bool) else value


class _Fault(Exception):
    def __init__(self, node: Node, message: str) -> None:
        super().__init__(message)
        self.node = node


class _Break(Exception):
    pass


class _Continue(Exception):
    pass


_NOTHING = object()


class _Run:
    def __init__(self, text: str, defined: Mapping[str, list[Node]], functions: Mapping[str, Function], strict: bool) -> None:
        self.out: list[str] = []
        self._text = text
        self._defined = defined
        self._functions = functions
        self._strict = strict
        self._steps = 0
        self._name = ""
        self._left = _OUTPUT

    def describe(self, fault: _Fault) -> str:
        before = self._text[: fault.node.position]
        column = len(before[before.rfind("\n") + 1 :].encode())
        line = before.count("\n") + 1
        return f"template: :{line}:{column}: executing {quoted(self._name)} at <{fault.node}>: {fault}"

    # structure

    def write(self, node: Node, text: str) -> None:
        self._left -= len(text)
        if self._left < 0:
            raise _Fault(node, f"more than {_OUTPUT} characters of output")
        self.out.append(text)

    def walk(self, nodes: Iterable[Node], dot: Any, variables: list[tuple[str, Any]], depth: int) -> None:
        for node in nodes:
            self._steps += 1
            if self._steps > _STEPS:
                raise _Fault(node, f"more than {_STEPS} steps")
            kind = node.kind
            if kind == "text":
                self.write(node, node.text)
            elif kind == "action":
                pipe = node.children[0]
                value = self.pipeline(pipe, dot, variables)
                if not pipe.declared:
                    self.write(node, "<no value>" if value is None else show(value))
            elif kind in ("if", "with"):
                inner = list(variables)
                value = self.pipeline(node.children[0], dot, inner)
                body = node.lists[0] if truth(value) else node.lists[1]
                self.walk(body, value if kind == "with" and truth(value) else dot, inner, depth)
                variables[:] = inner[: len(variables)]
            elif kind == "range":
                self.range(node, dot, variables, depth)
            elif kind == "template":
                self.template(node, dot, variables, depth)
            else:
                raise _Break if kind == "break" else _Continue

    def range(self, node: Node, dot: Any, variables: list[tuple[str, Any]], depth: int) -> None:
        pipe = node.children[0]
        value = self.commands(pipe, dot, variables)
        if isinstance(value, (bool, str, float, Struct)) or value is NIL:
            raise _Fault(pipe.children[-1].children[-1], f"range can't iterate over {show(value)}")
        if isinstance(value, int) and len(pipe.declared) > 1:
            raise _Fault(pipe, f"can't use {value} to iterate over more than one variable")
        if isinstance(value, dict):
            items = [(key, value[key]) for key in sorted(value)]
        elif isinstance(value, int):
            items = [(number, number) for number in range(value)]
        else:
            items = list(enumerate(value or ()))
        known = len(variables)
        for key, item in items:
            inner = list(variables)
            if pipe.text == "=":
                for name, part in zip(pipe.declared, (item,) if len(pipe.declared) == 1 else (key, item), strict=True):
                    self.assign(inner, name, part)
            elif pipe.declared:
                inner.extend(zip(pipe.declared, (item,) if len(pipe.declared) == 1 else (key, item), strict=True))
            try:
                self.walk(node.lists[0], item, inner, depth)
            except _Break:
                break
            except _Continue:
                pass
            finally:
                variables[:] = inner[:known]
        if not items:
            inner = list(variables)
            self.walk(node.lists[1], dot, inner, depth)
            variables[:] = inner[:known]

    def template(self, node: Node, dot: Any, variables: list[tuple[str, Any]], depth: int) -> None:
        if node.text not in self._defined:
            raise _Fault(node, f"template {quoted(node.text)} not defined")
        if depth > _DEPTH:
            raise _Fault(node, f"exceeded maximum template depth ({_DEPTH})")
        value = self.pipeline(node.children[0], dot, variables) if node.children else None
        before, self._name = self._name, node.text
        self.walk(self._defined[node.text], value, [("$", value)], depth + 1)
        self._name = before

    # pipelines

    def pipeline(self, pipe: Node, dot: Any, variables: list[tuple[str, Any]]) -> Any:
        value = self.commands(pipe, dot, variables)
        for name in pipe.declared:
            if pipe.text == "=":
                self.assign(variables, name, value)
            else:
                variables.append((name, value))
        return value

    @staticmethod
    def assign(variables: list[tuple[str, Any]], name: str, value: Any) -> None:
        for place in range(len(variables) - 1, -1, -1):
            if variables[place][0] == name:
                variables[place] = (name, value)
                return

    def commands(self, pipe: Node, dot: Any, variables: list[tuple[str, Any]]) -> Any:
        value: Any = _NOTHING
        for command in pipe.children:
            value = self.command(command, dot, variables, value)
        return value

    def command(self, command: Node, dot: Any, variables: list[tuple[str, Any]], final: Any) -> Any:
        first, arguments = command.children[0], command.children[1:]
        if first.kind == "identifier":
            return self.function(first, command, arguments, dot, variables, final)
        if first.kind in ("field", "chain", "variable"):
            return self.operand(first, dot, variables, arguments, final)
        if arguments or final is not _NOTHING:
            raise _Fault(first, f"can't give argument to non-function {first}")
        if first.kind == "nil":
            raise _Fault(first, "nil is not a command")
        return self.operand(first, dot, variables)

    def operand(
        self, node: Node, dot: Any, variables: list[tuple[str, Any]], arguments: Iterable[Node] = (), final: Any = _NOTHING
    ) -> Any:
        kind = node.kind
        if kind == "dot":
            return dot
        if kind == "field":
            return self.path(node, dot, node.path, dot, variables, arguments, final)
        if kind == "variable":
            name, path = node.path[0], node.path[1:]
            value = next((value for known, value in reversed(variables) if known == name), _NOTHING)
            if value is _NOTHING:
                # In what it is declared by: the parser knows the name already.
                raise _Fault(node, f"undefined variable: {name}")
            if not path and (arguments or final is not _NOTHING):
                raise _Fault(node, f"can't give argument to non-function {name}")
            return self.path(node, value, path, dot, variables, arguments, final)
        if kind == "chain":
            value = self.operand(node.children[0], dot, variables)
            if value is None and node.children[0].kind == "nil":
                raise _Fault(node, "indirection through explicit nil in " + str(node))
            if value is None and self._strict:
                raise _Fault(node, f"nil data; no entry for key {quoted(node.path[0])}")
            return self.path(node, value, node.path, dot, variables, arguments, final)
        if kind == "pipe":
            return self.pipeline(node, dot, variables)
        if kind == "identifier":
            return self.function(node, node, (), dot, variables, _NOTHING)
        return node.value

    def path(
        self,
        node: Node,
        value: Any,
        names: tuple[str, ...],
        dot: Any,
        variables: list[tuple[str, Any]],
        arguments: Iterable[Node],
        final: Any,
    ) -> Any:
        given = [self.operand(argument, dot, variables) for argument in arguments]
        if final is not _NOTHING:
            given.append(final)
        for place, name in enumerate(names):
            value = self.field(node, value, name, given if place == len(names) - 1 else [])
        return value

    def field(self, node: Node, value: Any, name: str, given: list[Any]) -> Any:
        if value is None and not self._strict:
            # What a map lacks has no members either; that is no error before the names are looked up in the JSON.
            return None
        if value is None or value is NIL:
            raise _Fault(node, f"nil pointer evaluating interface {{}}.{name}")
        if isinstance(value, Struct):
            if name not in value:
                raise _Fault(node, f"can't evaluate field {name} in type {value.name}")
            found = value[name]
            if callable(found):
                return self.method(node, found, name, given)
        elif isinstance(value, dict):
            if name not in value and self._strict:
                raise _Fault(node, f"map has no entry for key {quoted(name)}")
            found = value.get(name)
        else:
            raise _Fault(node, f"can't evaluate field {name} in type interface {{}}")
        if given:
            raise _Fault(node, f"{name} is not a method but has arguments")
        return found

    def method(self, node: Node, method: Any, name: str, given: list[Any]) -> Any:
        wanted = method.__code__.co_argcount
        if len(given) != wanted:
            raise _Fault(node, f"wrong number of args for {name}: want {wanted} got {len(given)}")
        for value in given:
            if complaint := fits("string", value):
                raise _Fault(node, complaint)
        return method(*given)

    def function(
        self, node: Node, command: Node, arguments: Iterable[Node], dot: Any, variables: list[tuple[str, Any]], final: Any
    ) -> Any:
        name, function = node.text, self._functions[node.text]
        given: list[Any] = []
        nodes = list(arguments)
        count = len(nodes) + (final is not _NOTHING)
        if count < len(function.kinds) or (count > len(function.kinds) and not function.rest):
            least = "at least " if function.rest else ""
            raise _Fault(node, f"wrong number of args for {name}: want {least}{len(function.kinds)} got {count}")
        for argument in nodes:
            value = self.operand(argument, dot, variables)
            if name in ("and", "or") and truth(value) == (name == "or"):
                return value
            given.append(value)
        if final is not _NOTHING:
            given.append(final)
            nodes.append(command)
        for place, value in enumerate(given):
            kind = function.kinds[place] if place < len(function.kinds) else function.rest
            if complaint := fits(kind, value):
                if nodes[place].kind in ("number", "string", "bool"):
                    complaint = f"expected {kind}; found {nodes[place]}"
                raise _Fault(nodes[place], complaint)
        try:
            result = function.call(*given)
            if isinstance(result, str) and len(result) > LONGEST:
                raise Complaint(TOO_LONG)
        except Complaint as complaint:
            raise _Fault(command, f"error calling {name}: {complaint}") from None
        return result
