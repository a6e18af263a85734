"""The terminal under a command: its size, raw mode, and the keys that leave a container."""

from __future__ import annotations

import posix

from tare.errors import Invalid

TYPE_CHECKING = False
if TYPE_CHECKING:
    import signal
    from collections.abc import Callable
else:
    import _signal as signal

DETACH_KEYS = b"\x10\x11"


def size(fd: int = 1) -> tuple[int, int]:
    """(rows, columns), or (0, 0) for what is no terminal."""
    try:
        found = posix.get_terminal_size(fd)
    except OSError:
        return 0, 0
    return found.lines, found.columns


class Raw:
    """Raw mode for as long as the block lasts, also when a signal ends it (cfmakeraw in termios(3))."""

    def __init__(self, fd: int) -> None:
        self.fd = fd
        self.before: list[object] | None = None

    def __enter__(self) -> Raw:
        if posix.isatty(self.fd):
            import termios
            import tty

            self.before = termios.tcgetattr(self.fd)
            tty.setraw(self.fd, termios.TCSANOW)
            for number in (signal.SIGTERM, signal.SIGHUP):
                signal.signal(number, _leave)
        return self

    def __exit__(self, *_: object) -> None:
        if self.before is not None:
            import termios

            termios.tcsetattr(self.fd, termios.TCSADRAIN, self.before)  # type: ignore[arg-type]


def _leave(number: int, _frame: object) -> None:
    raise SystemExit(128 + number)


def tell_size(resize: Callable[[int, int], None]) -> None:
    """Tell the size of our terminal, if we have one. A container that has just ended is no error."""
    from tare.errors import TareError

    rows, columns = size()
    if rows and columns:
        try:
            resize(rows, columns)
        except TareError:
            return


def follow_size(resize: Callable[[int, int], None]) -> None:
    """Tell the size of our terminal now and whenever it changes."""
    signal.signal(signal.SIGWINCH, lambda _number, _frame: tell_size(resize))
    tell_size(resize)


def detach_keys(text: str) -> bytes:
    """The bytes of ``ctrl-p,ctrl-q``, ``a``, ``ctrl-[,b`` …; nothing means the default. Raises Invalid."""
    if not text:
        return DETACH_KEYS
    keys = bytearray()
    for word in text.split(","):
        control = word.removeprefix("ctrl-")
        if len(control) != 1 or not control.isascii():
            raise _unknown(text, word)
        if control is word or len(word) == 1:
            keys += word.encode()
        elif control.isalpha():
            keys.append(ord(control.lower()) - 96)
        elif control in "@[\\]^_":
            keys.append(ord(control) - 64)
        else:
            raise _unknown(text, word)
    return bytes(keys)


def _unknown(text: str, word: str) -> Invalid:
    cure = "use letters and ctrl-LETTER, with commas between"
    return Invalid(f"invalid detach keys ({text}): unknown key {word!r}", subject=text, hint=cure)


class KeySequence:
    """Finds the detach keys in what is typed, also where they come one by one."""

    def __init__(self, keys: bytes) -> None:
        self.keys = keys
        self.matched = 0

    def ends_in(self, typed: bytes) -> int:
        """How many bytes of ``typed`` it takes until the keys are complete, or 0 where they are not."""
        if not self.matched and self.keys[0] not in typed:
            return 0
        for index, byte in enumerate(typed, 1):
            if byte != self.keys[self.matched]:
                self.matched = 0
            if byte == self.keys[self.matched]:
                self.matched += 1
            if self.matched == len(self.keys):
                self.matched = 0
                return index
        return 0
