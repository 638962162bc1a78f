"""Signing with a key of Sequoia-PGP's key store, which GnuPG is lent for as long as it takes."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator

from transship.errors import SignatureError
from transship.plugin.files import home_folder
from transship_openpgp.gnupg import run_gpg, stop_agent
from transship_openpgp.keyring import private_folder
from transship_openpgp.requirement import read_keyring
from transship_openpgp.signer import GpgSigner, secret_keys

_FINGERPRINT = re.compile(r"[0-9A-F]{40}(?:[0-9A-F]{24})?")
_SUFFIXES = (".pgp", ".asc")


class SequoiaSigner(GpgSigner):
    """Signs with the secret key whose fingerprint is ``fingerprint``, if the key store has it in a file.

    A GnuPG of its own has the key, protected as it is in the store, until this is closed.
    """

    description = "Signing image using Sequoia-PGP simple signing"

    def __init__(self, fingerprint: str, passphrase: bytes = b"") -> None:
        key = fingerprint.replace(" ", "").upper()
        if not _FINGERPRINT.fullmatch(key):
            raise SignatureError(f'"{fingerprint}" is not the fingerprint of a key of Sequoia-PGP')
        self._folder = private_folder()
        try:
            run_gpg([f"--homedir={self._folder.name}", "--import"], data=_find(key, self._folder.name))
            super().__init__(key, passphrase, home=self._folder.name)
        except BaseException:
            self.close()
            raise

    def close(self) -> None:
        """See ``Signer``."""
        super().close()
        stop_agent(self._folder.name)
        self._folder.cleanup()


def key_store() -> str:
    """The folder in which Sequoia-PGP keeps secret keys as files (its crate sequoia-keystore-softkeys)."""
    if home := os.environ.get("SEQUOIA_HOME"):
        data = os.path.join(home, "data")
    else:
        data = os.path.join(os.environ.get("XDG_DATA_HOME") or os.path.join(home_folder(), ".local/share"), "sequoia")
    return os.path.join(data, "keystore", "softkeys")


def _find(fingerprint: str, home: str) -> bytes:
    """The file of the key store that holds a secret key, as GnuPG reads it with the folder ``home``."""
    for path in _files(key_store(), fingerprint):
        data = read_keyring(path)
        listing = run_gpg([f"--homedir={home}", "--with-colons", "--import-options=show-only", "--import"], data=data)
        if any(key.fingerprint == fingerprint for key in secret_keys(listing)):
            return data
    raise SignatureError(f"no secret key {fingerprint} in the files of Sequoia-PGP, {key_store()}")


def _files(folder: str, fingerprint: str) -> Iterator[str]:
    """The files with keys, first the one that is named like the key that is looked for."""
    try:
        names = sorted(os.listdir(folder), key=lambda name: (not name.upper().startswith(fingerprint), name))
    except (FileNotFoundError, NotADirectoryError):
        return
    except OSError as error:
        raise SignatureError(f"open {folder}: {(error.strerror or str(error)).lower()}") from error
    yield from (os.path.join(folder, name) for name in names if name.endswith(_SUFFIXES))
