"""Either end of a plain conversation, for tests of how connections are led.

    peer.py serve PORT
    peer.py dial HOST PORT [SOURCE-PORT]

The server greets with `220 far saw ADDRESS`, then answers each line: `take N` after it has read so many octets more, anything
else with itself. The client says what it hears; the first line is the greeting, or how it failed to get one. Then it
passes on what it reads, `take N` with so many octets behind it, and says `gone` when nobody answers any more.
"""

import errno
import socket
import sys
import threading

PATIENCE = 30


def serve(port):
    listener = socket.create_server(("::", port), family=socket.AF_INET6, dualstack_ipv6=True, backlog=64)
    while True:
        connection, address = listener.accept()
        threading.Thread(target=converse, args=(connection, address[0]), daemon=True).start()


def converse(connection, client):
    try:
        with connection, connection.makefile("rwb") as stream:
            answer(stream, client)
    except OSError:
        pass


def answer(stream, client):
    say(stream, f"220 far saw {client.removeprefix('::ffff:')}")
    for line in stream:
        words = line.decode().split()
        if words[:1] == ["take"]:
            stream.read(int(words[1]))
            say(stream, "taken")
        else:
            say(stream, line.decode().strip())


def say(stream, text):
    stream.write(text.encode() + b"\r\n")
    stream.flush()


def dial(host, port, source):
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    connection = socket.socket(family)
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    connection.settimeout(PATIENCE)
    try:
        if source:
            connection.bind(("", source))
        connection.connect((host, port))
        stream = connection.makefile("rwb")
        tell(stream)
        for line in sys.stdin:
            stream.write(line.encode())
            if line.startswith("take "):
                stream.write(b"x" * int(line.split()[1]))
            stream.flush()
            tell(stream)
    except socket.timeout:
        print("timeout", flush=True)
    except OSError as error:
        print(errno.errorcode.get(error.errno, str(error)), flush=True)


def tell(stream):
    print(stream.readline().decode().strip() or "gone", flush=True)


def main():
    if sys.argv[1] == "serve":
        serve(int(sys.argv[2]))
    else:
        dial(sys.argv[2], int(sys.argv[3]), int(sys.argv[4]) if len(sys.argv) > 4 else 0)


main()
