"""The error tree: stable codes, one HTTP status each."""

import pytest

from plexstream.model import errors
from plexstream.model.errors import CALL_ERRORS, CallError, PlexstreamError, Rejected, call_error


def subclasses(cls):
    for sub in cls.__subclasses__():
        if sub.__module__ == errors.__name__:
            yield sub
            yield from subclasses(sub)


def test_every_call_error_has_a_code_of_its_own():
    assert set(CALL_ERRORS.values()) == {CallError, *subclasses(CallError)}
    assert all(400 <= error.status < 600 for error in CALL_ERRORS.values())


def test_the_tree_in_the_docstring_is_complete():
    for error in subclasses(PlexstreamError):
        assert f" {error.__name__} " in errors.__doc__


def test_error_of_a_code():
    error = call_error("rejected", "no money", {"balance": 0})
    assert type(error) is Rejected
    assert (error.detail, error.data, str(error)) == ("no money", {"balance": 0}, "no money")


@pytest.mark.parametrize("code", ["", "of_a_later_version"])
def test_an_unknown_code_is_a_plain_call_error(code):
    assert type(call_error(code, "what")) is CallError
