"""A bad wire between two network namespaces, for kernels without netem.

    wire.py NAMESPACE INTERFACE NAMESPACE INTERFACE LOSS DELAY JITTER SEED

Makes a TUN interface in each namespace and hands every packet that goes into one out of the other: loses the fraction
LOSS of them, holds each for DELAY seconds and up to JITTER more. Packets that are held for different times overtake each
other.
"""

import fcntl
import heapq
import os
import random
import select
import struct
import subprocess
import sys
import time

TUNSETIFF = 0x400454CA
IFF_TUN, IFF_NO_PI = 0x0001, 0x1000
PACKETS_AHEAD = 4000


def interface(namespace, name):
    """A TUN interface: made here, moved to where it belongs, its packets read here."""
    tun = os.open("/dev/net/tun", os.O_RDWR | os.O_NONBLOCK)
    fcntl.ioctl(tun, TUNSETIFF, struct.pack("16sH22x", name.encode(), IFF_TUN | IFF_NO_PI))
    subprocess.run(["ip", "link", "set", name, "netns", namespace], check=True)
    subprocess.run(["ip", "-n", namespace, "link", "set", name, "up", "txqueuelen", "1000"], check=True)
    return tun


def main():
    near, far = interface(*sys.argv[1:3]), interface(*sys.argv[3:5])
    loss, delay, jitter = (float(text) for text in sys.argv[5:8])
    dice = random.Random(int(sys.argv[8]))
    other = {near: far, far: near}
    held, counter = [], 0
    print("the wire is up", flush=True)
    while True:
        wait = max(0.0, held[0][0] - time.monotonic()) if held else None
        readable, _, _ = select.select([near, far], [], [], wait)
        for tun in readable:
            for _ in range(64):
                try:
                    packet = os.read(tun, 65536)
                except BlockingIOError:
                    break
                if dice.random() < loss or len(held) >= PACKETS_AHEAD:
                    continue
                counter += 1
                due = time.monotonic() + delay + dice.random() * jitter
                heapq.heappush(held, (due, counter, other[tun], packet))
        now = time.monotonic()
        while held and held[0][0] <= now:
            _, _, tun, packet = heapq.heappop(held)
            try:
                os.write(tun, packet)
            except (BlockingIOError, OSError):
                pass  # a full or a vanished interface loses packets, as wires do


main()
