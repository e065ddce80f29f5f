"""Whether anybody listens where Kafka should be, for commands that a user waits for.

Kafka's client tries a port that refuses for as long as one that is slow. A wrong address is the commonest mistake, so
it is looked for first; a broker that listens and is busy still gets the client's whole time.
"""

from __future__ import annotations

import socket
import time

import click

REFUSED_S = 2.0
"""For a port that refuses. Less fails while a broker restarts; more keeps a user waiting for a wrong address."""
KAFKA_PORT = 9092
"""Where its client looks when no port is named."""
ANSWER_S = 1.0
"""For an address that says nothing at all; then the client finds out. More only delays it."""


class Unreachable(click.ClickException):
    """The broker or the topic is not there, told to the user as it is, with status 1; the text says which."""


def require_listener(bootstrap: str) -> None:
    """Return when somebody listens at one of the addresses, or may. Raises Unreachable when all of them refuse."""
    deadline = time.monotonic() + REFUSED_S
    while (why := _refused(bootstrap)) is not None:
        if time.monotonic() >= deadline:
            raise Unreachable(f"no broker answers at {bootstrap} ({why})")
        time.sleep(0.2)


def _refused(bootstrap: str) -> str | None:
    """Why the last of the addresses is no broker's; None when one of them may be."""
    why = None
    for address in bootstrap.split(","):
        host, colon, port = address.rpartition(":")
        place = (host.strip("[]"), int(port)) if colon else (address, KAFKA_PORT)
        try:
            with socket.create_connection(place, timeout=ANSWER_S):
                return None
        except TimeoutError:  # slow: the client's to say
            return None
        except UnicodeError:
            why = f"{place[0]!r} is no name of a host"
        except OSError as problem:
            why = problem.strerror or str(problem)
    return why
