"""The reading of quantities as Kubernetes reads them."""

from contextlib import suppress
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bindery.domain.kubernetes_quantities import amount, is_bytes


@pytest.mark.parametrize(
    ("quantity", "stands_for"),
    [
        ("0", "0"),
        ("450M", "450000000"),
        ("2G", "2000000000"),
        ("2Gi", "2147483648"),
        ("1.5Ki", "1536"),
        ("0.01", "0.01"),
        (".5", "0.5"),
        ("2.", "2"),
        ("10m", "0.01"),
        ("250u", "0.00025"),
        ("7n", "0.000000007"),
        ("3k", "3000"),
        ("1E", "1000000000000000000"),
        ("1e3", "1000"),
        ("1E3", "1000"),
        ("25e-2", "0.25"),
        ("1T", "1000000000000"),
        ("1P", "1000000000000000"),
        ("1Ei", "1152921504606846976"),
    ],
)
def test_a_quantity_is_converted_to_a_number(quantity: str, stands_for: str) -> None:
    assert amount(quantity) == Decimal(stands_for)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "G",
        "2GB",
        "2 G",
        "-1",
        "+1",
        "1e",
        "1e3G",
        "2K",
        "2gi",
        "0x10",
        "1_000",
        "1,5",
        "1.2.3",
        ".",
        "1\n",
        "٣",
        "1e999",
    ],
)
def test_an_invalid_quantity_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="no quantity"):
        amount(text)


@pytest.mark.parametrize("text", ["400m", "0.5", "1e-3", "3n"])
def test_fractions_of_a_byte_are_refused(text: str) -> None:
    with pytest.raises(ValueError, match="whole number of bytes"):
        is_bytes(text)


@given(text=st.text(max_size=30))
def test_any_text_is_a_quantity_or_refused(text: str) -> None:
    with suppress(ValueError):
        assert amount(text) >= 0
