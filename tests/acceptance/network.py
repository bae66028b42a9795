"""Hosts of their own for a test: a hub with a bridge, and others that reach it by a cable each, which can be pulled.

Each is a network namespace of Linux; what is started `inside` one stays in it. Addresses are nobody else's, since the
hub is a namespace, too.
"""

import os
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import Self

import pytest

from tests.plugins.no_skips import PLATFORM

HUB_ADDRESS = "10.77.0.1"
PATH = os.pathsep.join([os.environ.get("PATH", ""), "/usr/sbin", "/sbin"])
"""Debian keeps `ip` out of an ordinary user's."""


class Network:
    """Made by `Network.of(hosts)`; the names of the namespaces begin with this process's own number."""

    def __init__(self) -> None:
        self.hub = f"rq{os.getpid()}-hub"
        self._stack = ExitStack()

    @classmethod
    @contextmanager
    def of(cls, hosts: int) -> Iterator[Self]:
        """A hub and so many hosts, numbered from 0, gone when the block ends. Skips where the system refuses them."""
        if shutil.which("ip", path=PATH) is None:
            pytest.skip("iproute2 is not installed: apt-get install iproute2")
        network = cls()
        with network._stack:
            network._add(network.hub)
            network._in(network.hub, "link add br0 type bridge")
            network._in(network.hub, f"address add {HUB_ADDRESS}/24 dev br0")
            network._in(network.hub, "link set br0 up")
            for number in range(hosts):
                network._join(number)
            yield network

    def host(self, number: int) -> str:
        """The namespace of a host."""
        return f"rq{os.getpid()}-{number}"

    def pull(self, number: int) -> None:
        """Whatever this host and the hub send one another vanishes from now on, and nobody is told."""
        self._in(self.hub, f"link set to{number} down")

    def plug(self, number: int) -> None:
        """The cable is in its place again."""
        self._in(self.hub, f"link set to{number} up")

    @contextmanager
    def inside(self, namespace: str) -> Iterator[None]:
        """What this thread starts or connects in the block, it does in there."""
        with open("/proc/thread-self/ns/net") as ours, open(f"/run/netns/{namespace}") as theirs:
            os.setns(theirs.fileno(), os.CLONE_NEWNET)
            try:
                yield
            finally:
                os.setns(ours.fileno(), os.CLONE_NEWNET)

    def _add(self, name: str) -> None:
        try:
            _ip("netns add", name)
        except subprocess.CalledProcessError as error:
            pytest.skip(f"{PLATFORM} network namespaces are refused: {error.stderr.strip()}")
        self._stack.callback(_ip, "netns delete", name)
        self._in(name, "link set lo up")

    def _join(self, number: int) -> None:
        name = self.host(number)
        self._add(name)
        self._in(self.hub, f"link add to{number} type veth peer name hub netns {name}")
        self._in(self.hub, f"link set to{number} master br0 up")
        self._in(name, f"address add 10.77.0.{number + 2}/24 dev hub")
        self._in(name, "link set hub up")

    def _in(self, namespace: str, words: str) -> None:
        _ip(f"-n {namespace} {words}")


def _ip(words: str, *more: str) -> None:
    environment = os.environ | {"PATH": PATH}
    subprocess.run(["ip", *words.split(), *more], check=True, capture_output=True, text=True, env=environment)
