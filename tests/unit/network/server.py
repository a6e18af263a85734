"""A server that tells its clients who they seem to be, and the client."""

from __future__ import annotations

import socket

KINDS = {"tcp": socket.SOCK_STREAM, "udp": socket.SOCK_DGRAM}


def serve(port: int, protocol: str) -> None:
    with socket.socket(socket.AF_INET6, KINDS[protocol]) as server:
        server.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)
        server.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        server.bind(("::", port))
        if protocol == "tcp":
            server.listen()
        print("ready", flush=True)
        while True:
            if protocol == "tcp":
                client, who = server.accept()
                client.sendall(name(who))
                client.close()
            else:
                _data, who = server.recvfrom(100)
                server.sendto(name(who), who)


def name(who: tuple[str, int, int, int]) -> bytes:
    return who[0].removeprefix("::ffff:").encode()


def ask(address: str, port: int, protocol: str, patience: float = 2.0) -> str:
    with socket.socket(socket.AF_INET6 if ":" in address else socket.AF_INET, KINDS[protocol]) as client:
        client.settimeout(patience)
        try:
            client.connect((address, port))
            if protocol == "udp":
                client.send(b"?")
            return client.recv(100).decode()
        except OSError as error:
            return type(error).__name__
