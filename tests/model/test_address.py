"""Addresses take hostile text, and keys go to the partitions that Java clients compute."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from plexstream.model.errors import BadAddress
from plexstream.model.messages.address import (
    MAX_ADDRESS_BYTES,
    Address,
    full,
    murmur2,
    parse,
    partition_of,
    type_of,
)
from plexstream.model.messages.address import _partition_of as in_python

# From org.apache.kafka.common.utils.UtilsTest.testMurmur2.
JAVA_VECTORS = {
    "21": -973932308,
    "foobar": -790332482,
    "a-little-bit-long-string": -985981536,
    "a-little-bit-longer-string": -1486304829,
    "lkjh234lh9fiuh90y23oiuhsafujhadof229phr9h19h89h8": -58897971,
    "abc": 479470107,
}


@pytest.mark.parametrize(("text", "signed"), JAVA_VECTORS.items())
def test_murmur2_is_that_of_java(text, signed):
    assert murmur2(text.encode()) == signed & 0xFFFFFFFF


def plain_murmur2(data):
    """The algorithm as its author wrote it, four bytes at a time."""
    m, u32 = 0x5BD1E995, 0xFFFFFFFF
    h = 0x9747B28C ^ len(data)
    while len(data) >= 4:
        k = int.from_bytes(data[:4], "little") * m & u32
        k = (k ^ k >> 24) * m & u32
        h = h * m & u32 ^ k
        data = data[4:]
    for i in reversed(range(len(data))):
        h ^= data[i] << 8 * i
    if data:
        h = h * m & u32
    h = (h ^ h >> 13) * m & u32
    return h ^ h >> 15


@given(st.binary(max_size=100))
def test_murmur2_of_every_length(data):
    assert murmur2(data) == plain_murmur2(data)


@pytest.mark.parametrize("partition_of", [partition_of, in_python], ids=["in use", "in Python"])
@given(key=st.text(), partitions=st.integers(1, 10_000))
def test_partition_is_never_negative(partition_of, key, partitions):
    key = key.encode(errors="replace").decode()
    expected = (plain_murmur2(key.encode()) & 0x7FFFFFFF) % partitions
    assert partition_of(key, partitions) == expected < partitions


def test_short_and_full_form():
    assert parse("account/alice") == Address("default", "default", "account", "alice")
    assert parse("t/n/account/alice") == Address("t", "n", "account", "alice")
    assert full("account/alice") == "default/default/account/alice"
    assert parse("default/default/account/alice").short == "account/alice"
    assert parse("t/default/account/alice").short == "t/default/account/alice"


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("", "1 part:"),
        ("account", "1 part:"),
        ("n/account/alice", "3 parts"),
        ("a/b/c/d/e", "5 parts"),
        ("account/", "empty id"),
        ("/alice", "empty type"),
        ("t//account/alice", "empty namespace"),
        ("account/..", "not allowed"),
        ("account/.", "not allowed"),
        ("account/a\0b", "not allowed"),
        ("account/a\nb", "not allowed"),
        ("account/\u202eevil", "not allowed"),
        ("account/\ud800", "not allowed"),
        ("account/" + "x" * 600, "at most 512"),
        ("account/" + "é" * 300, "at most 512"),
    ],
)
def test_what_is_no_address(text, why):
    with pytest.raises(BadAddress, match=why):
        parse(text)
    with pytest.raises(BadAddress):
        full(text)


@given(st.text())
def test_any_text_is_an_address_or_refused(text):
    try:
        address = parse(text)
    except BadAddress:
        return
    assert parse(str(address)) == address
    assert parse(address.short) == address
    assert type_of(str(address)) == address.type
    assert "\0" not in str(address)  # keys of stores and snapshots end the address with it


def test_the_limit_holds_for_the_full_form():
    # The record key is the full form: text that fits only in its short form must not pass.
    text = "a/" + "x" * (MAX_ADDRESS_BYTES - 2)
    with pytest.raises(BadAddress, match="at most"):
        parse(text)


@pytest.mark.parametrize("text", ["", "a", "a/b/c", "a/b/c/d/e"])
def test_type_of_what_may_be_no_address(text):
    assert type_of(text) in ("", "c")
