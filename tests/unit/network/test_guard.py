"""The thread that puts rules back: it ends when told, and loses nothing to the driver's own thread (NW-20)."""

from __future__ import annotations

import os
import select
import signal
import subprocess
import threading
from concurrent.futures import ThreadPoolExecutor

from tare_network.bridge.firewall import Firewall
from tare_network.bridge.guard import Guard
from tests.unit.network.conftest import INSTANCE


def test_it_ends_although_a_process_forked_meanwhile_has_its_descriptors() -> None:
    watch, changes = os.pipe()
    guard = Guard(watch, lambda: False, lambda: None)
    child = os.fork()
    if child == 0:
        signal.pause()
        os._exit(0)
    closing = threading.Thread(target=guard.close, daemon=True)
    try:
        closing.start()
        closing.join(5)
        assert not closing.is_alive()
        guard.close()
    finally:
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)
        closing.join()
        os.close(watch)
        os.close(changes)


def test_changes_of_our_own_threads_are_ours(own_network: None) -> None:
    firewall = Firewall(INSTANCE, {})
    watch = firewall.watch()
    with ThreadPoolExecutor(1) as thread:
        try:
            thread.submit(firewall.arrange, [], ()).result()
            assert select.select([watch], [], [], 10)[0]
            assert not firewall.disturbed()
            subprocess.run(["nft", "flush", "table", "inet", firewall.table], check=True)
            assert select.select([watch], [], [], 10)[0]
            assert firewall.disturbed()
        finally:
            firewall.remove()
            firewall.close()
