"""Has msgspec learn the fields of Structs before threads decode them."""

from __future__ import annotations

import msgspec


def learnt(*kinds: type) -> None:
    """Have msgspec look at the fields of Structs now, when one thread imports their module.

    Else it does so when it first decodes one. A thread that decodes the same kind meanwhile finds half of the fields,
    and the process ends by SIGSEGV. Seen with msgspec 0.19 to 0.22.
    """
    for kind in kinds:
        msgspec.json.Decoder(kind)
