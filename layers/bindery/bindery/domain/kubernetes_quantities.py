"""Kubernetes' quantities: `450M`, `2Gi`, `0.5`, `500m`, `1e9`."""

import re
from decimal import Decimal

_QUANTITY = re.compile(r"(\d{1,18}(?:\.\d{0,9})?|\.\d{1,9})(?:([KMGTPE]i|[numkMGTPE])|[eE]([+-]?\d{1,2}))?", re.ASCII)
_UNITS = {
    **{
        unit: Decimal(10) ** (3 * power)
        for unit, power in zip("numkMGTPE", (-3, -2, -1, 1, 2, 3, 4, 5, 6), strict=True)
    },
    **{f"{unit}i": Decimal(1024) ** power for power, unit in enumerate("KMGTPE", 1)},
}


def amount(quantity: str) -> Decimal:
    """What a quantity stands for: bytes, CPUs. Raises ValueError."""
    found = _QUANTITY.fullmatch(quantity)
    if found is None:
        raise ValueError(f"{quantity!r} is no quantity: write 450M, 2Gi or 0.5")
    number, unit, exponent = found.groups()
    return Decimal(number) * (_UNITS[unit] if unit else Decimal(10) ** int(exponent or 0))


def is_quantity(quantity: str) -> str:
    """A quantity. Raises ValueError."""
    amount(quantity)
    return quantity


def is_bytes(quantity: str) -> str:
    """A quantity of bytes, of which there are no parts: who writes 400m means 400M. Raises ValueError."""
    if amount(quantity) % 1:
        raise ValueError(f"{quantity} is no whole number of bytes; is {quantity.rstrip('num')}M meant?")
    return quantity
