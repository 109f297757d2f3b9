"""What is done about a file whose hash nobody knows: a decision that takes an address and gives words, without I/O."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, get_args

if TYPE_CHECKING:  # the command line imports the choices, and reading addresses takes long to load
    from stemsep_envs.documents.addresses import Address

UnknownHash = Literal["secure", "first-use", "refuse"]
"""``secure`` trusts what an authenticated host gives first, ``first-use`` what any host gives, ``refuse`` nothing."""

UNKNOWN_HASH_CHOICES: tuple[UnknownHash, ...] = get_args(UnknownHash)
UNKNOWN_HASH_VARIABLE = "STEMSEP_ENV_UNKNOWN_HASH"


@dataclass(frozen=True)
class Usable:
    """Which addresses may be fetched from.

    Attributes:
        addresses: These, best first.
        refused: Why others, or all, may not; empty when all may.
    """

    addresses: tuple[Address, ...]
    refused: str = ""


def usable_addresses(
    addresses: Sequence[Address], policy: UnknownHash, *, hash_known: bool, secure_hub: bool
) -> Usable:
    """Return the addresses that may be fetched from.

    Args:
        addresses: Those that the entry gives.
        policy: What the user allows.
        hash_known: Whether the file can be checked against a hash.
        secure_hub: Whether hf addresses lead to an https host.
    """
    if hash_known or policy == "first-use":
        return Usable(tuple(addresses))
    if policy == "refuse":
        return Usable((), "its hash is not known, and files of unknown hash are refused here")
    secure = tuple(address for address in addresses if is_authenticated(address, secure_hub=secure_hub))
    if not secure and addresses:
        return Usable((), "its hash is not known, and http does not prove who sent it")
    return Usable(secure)


def is_authenticated(address: Address, *, secure_hub: bool) -> bool:
    """Say whether the way to an address proves who is at its end, so that nobody on the way can change the file."""
    return {"http": False, "hf": secure_hub}.get(address.scheme, True)
