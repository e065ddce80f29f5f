"""The chargers' passwords (OCPP security profiles 1 and 2: HTTP Basic, user = charger id).

The file is YAML or JSON, charger id -> password, or `sha256:` and the 64 hex digits of its SHA-256. A fast hash is
enough because these are machine-made keys of 16 to 20 random bytes (AuthorizationKey), nothing a dictionary holds;
and a slow one would cost seconds of CPU each time a fleet reconnects.

A key configured as hex digits may come as those digits or as the bytes they mean (facts 1.7 #8); both are accepted.
The file is read again when it changes; a file that cannot be read leaves the passwords as they were.
"""

from __future__ import annotations

import base64
import binascii
import hmac
import logging
import re
from hashlib import sha256
from pathlib import Path

from topology.documents import NotYaml, read_documents

log = logging.getLogger(__name__)

_HASHED = re.compile(r"sha256:([0-9a-fA-F]{64})")
_NOBODY = b"\0" * 32


class PasswordsUnreadable(ValueError):  # noqa: N818 -- a sentence for the user
    """Why a file of passwords cannot be used. Never contains one."""


class Passwords:
    """Who may connect."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._digests = _read(path)
        self._stamp = _stamp(path)

    def allow(self, charger: str, authorization: str | None) -> bool:
        """Whether an Authorization header proves to be that charger. Takes the same time for a wrong password."""
        self._reload()
        user, password = _basic(authorization)
        known = self._digests.get(charger.casefold(), _NOBODY)
        raw_hex = password.hex()
        spellings = (password, raw_hex.encode(), raw_hex.upper().encode())
        matches = [hmac.compare_digest(sha256(spelling).digest(), known) for spelling in spellings]
        return any(matches) and user.casefold() == charger.casefold()

    def _reload(self) -> None:
        stamp = _stamp(self._path)
        if stamp == self._stamp:
            return
        self._stamp = stamp
        try:
            self._digests = _read(self._path)
        except PasswordsUnreadable as problem:
            log.warning("The passwords stay as they were: %s", problem)
        else:
            log.info("Read the passwords of %d chargers", len(self._digests))


def _basic(authorization: str | None) -> tuple[str, bytes]:
    """User and password of a Basic header; the password may be any bytes. Empty ones where it is none."""
    scheme, _, encoded = (authorization or "").partition(" ")
    if scheme.lower() != "basic":
        return "", b""
    try:
        user, _, password = base64.b64decode(encoded.strip(), validate=True).partition(b":")
    except (binascii.Error, ValueError):
        return "", b""
    return user.decode("utf-8", "replace"), password


def _stamp(path: Path) -> tuple[int, int] | None:
    try:
        found = path.stat()
    except OSError:
        return None
    return found.st_mtime_ns, found.st_size


def _read(path: Path) -> dict[str, bytes]:
    try:
        documents = read_documents(path)
    except OSError as problem:
        raise PasswordsUnreadable(f"{path}: {problem.strerror}") from None
    except NotYaml:  # what it says may repeat a password
        raise PasswordsUnreadable(f"{path} is neither YAML nor JSON") from None
    document = documents[0] if len(documents) == 1 else None
    if not isinstance(document, dict):
        raise PasswordsUnreadable(f"{path} must map charger ids to passwords")
    return {str(charger).casefold(): _digest(path, charger, secret) for charger, secret in document.items()}


def _digest(path: Path, charger: object, secret: object) -> bytes:
    if not isinstance(secret, str) or not secret:
        # 0123 and 1e5 would silently be read as numbers
        raise PasswordsUnreadable(f"{path}: the password of {charger} must be a text, in quotes")
    hashed = _HASHED.fullmatch(secret)
    if hashed is None and secret.startswith("sha256:"):
        raise PasswordsUnreadable(f"{path}: the password of {charger} must be sha256: and 64 hex digits, or not say so")
    return bytes.fromhex(hashed[1]) if hashed else sha256(secret.encode("utf-8", "surrogatepass")).digest()
