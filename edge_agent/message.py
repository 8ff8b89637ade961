"""What a codec gives: one normalised message of a device, and what never leaves it in clear.

Person data stops here. Pictures, names, telephone and identity card numbers never enter a `Message`. A person number
or a card number enters as a `Secret`, because only `translate` holds the campus key that turns it into a ref; a secret
prints as nothing wherever it may turn up: log line, traceback, assertion.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal, NoReturn

import msgspec

from wire.records import CredentialKind, Scalar


class Secret:
    """Text that compares and hashes as itself and prints as nothing. `reveal` is called where a ref is made."""

    __slots__ = ("_text",)

    def __init__(self, text: str) -> None:
        self._text = text

    def reveal(self) -> str:
        """The text in clear."""
        return self._text

    def __repr__(self) -> str:
        """Never the text, nor its length."""
        return "Secret(…)"

    def __reduce__(self) -> NoReturn:
        """A secret is not written anywhere."""
        raise TypeError("a secret cannot be stored or sent")

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Secret) and other._text == self._text

    def __hash__(self) -> int:
        return hash(self._text)


@dataclass(frozen=True, slots=True)
class Holder:
    """The number of a person.

    scope `site`: the number that the school gave, equal on every device. scope `device`: the running number of one
    device's own list, which says nothing on another device.
    """

    number: Secret
    scope: Literal["site", "device"] = "site"


@dataclass(frozen=True, slots=True)
class RawCredential:
    """What was shown to the reader. number: as the device wrote it; absent where the device names only the kind."""

    kind: CredentialKind
    number: Secret | None = None


class Message(msgspec.Struct, frozen=True, kw_only=True):
    """One message of a device in its protocol's normal form. A struct, because a busy box makes thousands a second.

    kind: from the protocol's closed list (`device_profiles.protocols.<protocol>`). fields: snake_case, only what the
    device owns, so that a message sent again gives equal fields. record_no: the device's own number, in the layout of
    `wire.identity.SourceKey`. sameness: for a device that has no such number and sends a record again until it is told:
    what is equal in every sending of one record and in no other; a number is made of it. device_time: text as the
    device said it, printable ASCII, at most 64 characters. replayed: the device marked it as sent again or sent late.
    initialized: a state said again after a start, not a change of it. reply: the codec's own token; with it the codec
    builds what the device is told once the message is committed.
    """

    kind: str
    fields: Mapping[str, Scalar] = {}
    record_no: int | None = None
    sameness: Secret | None = None
    device_time: str | None = None
    holder: Holder | None = None
    credential: RawCredential | None = None
    replayed: bool = False
    initialized: bool = False
    reply: object | None = None


@dataclass(frozen=True, slots=True)
class Discard:
    """Bytes that made no sense. reason: a short code from the codec's closed list. Whoever has the bytes keeps them."""

    reason: str
