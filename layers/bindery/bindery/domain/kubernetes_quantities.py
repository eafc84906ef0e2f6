"""Parser for Kubernetes' quantities: `450M`, `2Gi`, `0.5`, `500m`, `1e9`."""

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
    """Return the number that a quantity stands for (bytes, CPUs). Raises ValueError."""
    match = _QUANTITY.fullmatch(quantity)
    if match is None:
        raise ValueError(f"{quantity!r} is no quantity: write 450M, 2Gi or 0.5")
    number, unit, exponent = match.groups()
    return Decimal(number) * (_UNITS[unit] if unit else Decimal(10) ** int(exponent or 0))


def is_quantity(quantity: str) -> str:
    """Return a valid quantity unchanged. Raises ValueError."""
    amount(quantity)
    return quantity


def is_bytes(quantity: str) -> str:
    """Return a quantity of whole bytes unchanged. Raises ValueError, also for 400m, which is a typing error for 400M."""
    if amount(quantity) % 1:
        raise ValueError(f"{quantity} is no whole number of bytes; is {quantity.rstrip('num')}M meant?")
    return quantity
