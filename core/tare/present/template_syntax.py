"""Go's text/template notation as a tree (pkg.go.dev/text/template).

A node knows its position in the text and how Go would print it back, because error messages quote it.
"""

from __future__ import annotations

from tare.present.template_tokens import SyntaxFault, Token, number, quoted, tokens, unquoted

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Collection

_DEPTH = 100
"""Of parentheses and branches within each other."""


class Node:
    """``kind`` says which of the other members mean something; see the parser for each kind's."""

    __slots__ = ("children", "declared", "kind", "lists", "path", "position", "text", "value")

    def __init__(self, kind: str, position: int, text: str = "", value: object = None, path: tuple[str, ...] = ()) -> None:
        self.kind = kind
        self.position = position
        self.text = text
        self.value = value
        self.children: list[Node] = []
        self.declared: list[str] = []
        self.path = path
        self.lists: list[list[Node]] = []

    def __str__(self) -> str:
        if self.kind == "pipe":
            head = ", ".join(self.declared) + f" {self.text} " if self.declared else ""
            return head + " | ".join(str(child) for child in self.children)
        if self.kind == "command":
            return " ".join(f"({child})" if child.kind == "pipe" else str(child) for child in self.children)
        if self.kind == "chain":
            first = self.children[0]
            return (f"({first})" if first.kind == "pipe" else str(first)) + self.text
        if self.kind == "template":
            return f"{{{{template {quoted(self.text)}{f' {self.children[0]}' if self.children else ''}}}}}"
        return self.text


def parse(text: str, functions: Collection[str]) -> tuple[list[Node], dict[str, list[Node]]]:
    """The template's nodes and those of every ``define`` in it. ``functions`` are the names that may be called.

    Kinds of node: text; action, if, range, with (children: the pipe; lists: the body, the else part); template (text:
    its name; children: the pipe, if any); break, continue; pipe (declared variables, children: commands); command
    (children: operands); field, variable (path), chain (children: the operand; path); identifier, dot, nil; bool, number,
    string (value).
    """
    parser = _Parser(text, functions)
    body, stop = parser.body(top=True)
    if stop is not None:
        raise SyntaxFault(f"unexpected {{{{{stop.text}}}}}", stop.line)
    return body, parser.defined


class _Parser:
    def __init__(self, text: str, functions: Collection[str]) -> None:
        self.functions = functions
        self.defined: dict[str, list[Node]] = {}
        self._tokens = tokens(text)
        self._waiting: list[Token] = []
        self._variables = ["$"]
        self._loops = self._depth = 0
        self.line = 1

    # tokens

    def next(self) -> Token:
        token = self._waiting.pop() if self._waiting else next(self._tokens)
        self.line = token.line
        return token

    def back(self, token: Token) -> None:
        self._waiting.append(token)

    def peek(self) -> Token:
        token = self.next()
        self.back(token)
        return token

    def next_word(self) -> Token:
        token = self.next()
        return self.next() if token.kind == "space" else token

    def peek_word(self) -> Token:
        token = self.next_word()
        self.back(token)
        return token

    def fault(self, message: str) -> SyntaxFault:
        return SyntaxFault(message, self.line)

    def unexpected(self, token: Token, context: str) -> SyntaxFault:
        return self.fault(f"unexpected {token} in {context}" if token.kind != "eof" else "unexpected EOF")

    # structure

    def body(self, top: bool = False) -> tuple[list[Node], Token | None]:
        """Nodes up to an ``end`` or ``else``, which comes back too (what follows it is the caller's); None at the end."""
        nodes: list[Node] = []
        while True:
            token = self.next()
            if token.kind == "eof":
                if top:
                    return nodes, None
                raise self.fault("unexpected EOF")
            if token.kind == "text":
                nodes.append(Node("text", token.position, token.text))
                continue
            word = self.next_word()
            if word.kind in ("end", "else"):
                if word.kind == "end":
                    self.close("end")
                return nodes, word
            if word.kind == "define":
                if not top:
                    raise self.unexpected(word, "command")
                self.define()
            else:
                nodes.append(self.action(word))

    def close(self, context: str) -> None:
        token = self.next_word()
        if token.kind != "right":
            raise self.unexpected(token, context)

    def action(self, word: Token) -> Node:
        if word.kind in ("if", "range", "with"):
            return self.branch(word)
        if word.kind in ("break", "continue"):
            if not self._loops:
                raise self.fault(f"{{{{{word.text}}}}} outside {{{{range}}}}")
            self.close(f"{{{{{word.text}}}}}")
            return Node(word.kind, word.position, f"{{{{{word.text}}}}}")
        if word.kind in ("template", "block"):
            return self.template(word)
        self.back(word)
        node = Node("action", word.position)
        node.children.append(self.pipeline("command", "right"))
        return node

    def deeper(self) -> None:
        self._depth += 1
        if self._depth > _DEPTH:
            raise self.fault("max expression depth exceeded")

    def branch(self, word: Token) -> Node:
        self.deeper()
        known = len(self._variables)
        node = Node(word.kind, word.position)
        node.children.append(self.pipeline(word.kind, "right"))
        self._loops += word.kind == "range"
        body, stop = self.body()
        self._loops -= word.kind == "range"
        node.lists = [body, []]
        if stop is not None and stop.kind == "else":
            nested = self.peek_word()
            if (nested.kind, word.kind) in (("if", "if"), ("with", "with")):
                node.lists[1] = [self.branch(self.next_word())]
                del self._variables[known:]
                self._depth -= 1
                return node
            self.close("else")
            node.lists[1], stop = self.body()
            if stop is not None and stop.kind == "else":
                raise self.fault("expected end; found {{else}}")
        del self._variables[known:]
        self._depth -= 1
        return node

    def name(self, context: str) -> str:
        token = self.next_word()
        if token.kind != "string":
            raise self.unexpected(token, context)
        return unquoted(token.text)

    def define(self) -> None:
        name = self.name("define clause")
        self.close("define clause")
        self.defined[name] = self.separate("define")

    def separate(self, context: str) -> list[Node]:
        variables, self._variables = self._variables, ["$"]
        loops, self._loops = self._loops, 0
        body, stop = self.body()
        if stop is not None and stop.kind == "else":
            raise self.fault(f"unexpected {{{{else}}}} in {context} clause")
        self._variables, self._loops = variables, loops
        return body

    def template(self, word: Token) -> Node:
        position = self.peek_word().position
        node = Node("template", position, self.name(f"{word.kind} clause"))
        if word.kind == "block":
            node.children.append(self.pipeline("block clause", "right"))
            self.defined.setdefault(node.text, self.separate("block"))
        elif self.peek_word().kind == "right":
            self.next_word()
        else:
            node.children.append(self.pipeline("template clause", "right"))
        return node

    # pipelines

    def pipeline(self, context: str, end: str) -> Node:
        pipe = Node("pipe", self.peek_word().position)
        while (token := self.peek_word()).kind == "variable":
            self.next_word()
            after = self.next()
            following = self.next() if after.kind == "space" else after
            if following.kind in ("declare", "assign"):
                pipe.declared.append(token.text)
                pipe.text = following.text
                if following.kind == "declare":
                    self._variables.append(token.text)
                elif token.text not in self._variables:
                    raise self.fault(f"undefined variable {quoted(token.text)}")
                break
            if following.kind == "char" and following.text == ",":
                pipe.declared.append(token.text)
                self._variables.append(token.text)
                if context != "range" or len(pipe.declared) > 1:
                    raise self.fault(f"too many declarations in {context}")
                if self.peek_word().kind != "variable":
                    raise self.fault("range can only initialize variables")
                continue
            self.back(following)
            if after is not following:
                self.back(after)
            self.back(token)
            break
        while True:
            token = self.next_word()
            if token.kind == end:
                self.check(pipe, context)
                return pipe
            if token.kind not in ("bool", "dot", "field", "identifier", "number", "nil", "string", "variable", "("):
                raise self.unexpected(token, context)
            self.back(token)
            pipe.children.append(self.command())

    def check(self, pipe: Node, context: str) -> None:
        if not pipe.children:
            raise self.fault(f"missing value for {context}")
        for stage, command in enumerate(pipe.children[1:], start=2):
            if command.children[0].kind in ("bool", "dot", "nil", "number", "string"):
                raise self.fault(f"non executable command in pipeline stage {stage}")

    def command(self) -> Node:
        command = Node("command", self.peek_word().position)
        while True:
            self.peek_word()
            operand = self.operand()
            if operand is not None:
                command.children.append(operand)
            token = self.next()
            if token.kind == "space":
                continue
            if token.kind in ("right", ")"):
                self.back(token)
            elif token.kind != "pipe":
                raise self.unexpected(token, "operand")
            elif self.peek_word().kind in ("right", ")"):
                raise self.fault("missing value for command")
            break
        if not command.children:
            raise self.fault("empty command")
        return command

    def operand(self) -> Node | None:
        node = self.term()
        if node is None or self.peek().kind != "field":
            return node
        position, names = self.peek().position, []
        while self.peek().kind == "field":
            names.append(self.next().text)
        if node.kind in ("bool", "string", "number", "nil", "dot"):
            raise self.fault(f"unexpected . after term {quoted(node.text)}")
        path = tuple(name[1:] for name in names)
        if node.kind in ("field", "variable"):
            return Node(node.kind, position, node.text + "".join(names), path=node.path + path)
        chain = Node("chain", position, "".join(names), path=path)
        chain.children.append(node)
        return chain

    def term(self) -> Node | None:
        token = self.next_word()
        kind, text, position = token.kind, token.text, token.position
        if kind == "identifier":
            if text not in self.functions:
                raise self.fault(f"function {quoted(text)} not defined")
            return Node(kind, position, text)
        if kind in ("dot", "nil"):
            return Node(kind, position, text)
        if kind == "variable":
            if text not in self._variables:
                raise self.fault(f"undefined variable {quoted(text)}")
            return Node(kind, position, text, path=(text,))
        if kind == "field":
            return Node(kind, position, text, path=(text[1:],))
        if kind == "bool":
            return Node(kind, position, text, text == "true")
        if kind == "number":
            value = number(text)
            if isinstance(value, str):
                raise self.fault(value)
            return Node(kind, position, text, value)
        if kind == "(":
            self.deeper()
            pipe = self.pipeline("parenthesized pipeline", ")")
            self._depth -= 1
            return pipe
        if kind == "string":
            try:
                return Node(kind, position, text, unquoted(text))
            except (ValueError, IndexError):
                raise self.fault("invalid syntax") from None
        self.back(token)
        return None
