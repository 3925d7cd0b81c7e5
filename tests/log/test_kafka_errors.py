"""Every error code has one meaning."""

import pytest
from confluent_kafka import KafkaError, KafkaException

from plexstream.log.kafka.common.errors import _CODES, KINDS, Kind, behind, kind_of, log_error, passes
from plexstream.model.errors import Fenced, LogError, LogUnavailable, TopicMissing

CODES = {
    name: code
    for name in dir(KafkaError)
    if name.lstrip("_").isupper() and isinstance(code := getattr(KafkaError, name), int)
}


def test_every_code_of_librdkafka_has_one_kind_and_no_other_name_is_in_the_table():
    named = [name for names in _CODES.values() for name in names.split()]
    assert len(CODES) > 180
    assert sorted(named) == sorted(CODES)
    assert KINDS.keys() == set(CODES.values())


@pytest.mark.parametrize(
    ("code", "kind", "type_"),
    [
        (KafkaError.FENCED_LEADER_EPOCH, Kind.RENEW, LogUnavailable),
        (KafkaError.UNKNOWN_LEADER_EPOCH, Kind.RENEW, LogUnavailable),
        (KafkaError._NOENT, Kind.RENEW, LogUnavailable),
        (KafkaError.NOT_ENOUGH_REPLICAS, Kind.LATER, LogUnavailable),
        (KafkaError._TRANSPORT, Kind.LATER, LogUnavailable),
        (KafkaError.OUT_OF_ORDER_SEQUENCE_NUMBER, Kind.ANEW, LogUnavailable),
        (KafkaError._FENCED, Kind.FENCED, Fenced),
        (KafkaError.UNKNOWN_TOPIC_OR_PART, Kind.MISSING, TopicMissing),
        (KafkaError.TOPIC_AUTHORIZATION_FAILED, Kind.REFUSED, LogError),
        (KafkaError.INVALID_REQUIRED_ACKS, Kind.OURS, LogError),
    ],
)
def test_a_kind_is_an_error_of_the_tree_that_names_what_was_done(code, kind, type_):
    error = KafkaError(code)
    assert kind_of(error) is kind
    found = log_error(error, "there:9092", "doing something")
    assert type(found) is type_
    assert "doing something" in str(found)
    assert error.name() in str(found)
    assert passes(error) is (kind in (Kind.RENEW, Kind.LATER))


@pytest.mark.parametrize("code", sorted(KINDS))
def test_a_fatal_error_is_one_of_its_client_whatever_its_code(code):
    kind = kind_of(KafkaError(code, "no more", True))
    assert kind is (Kind.FENCED if KINDS[code] is Kind.FENCED else Kind.ANEW)


def test_a_code_of_a_newer_broker_is_asked_again_if_it_says_so():
    assert kind_of(KafkaError(9999, "new", False, True)) is Kind.LATER
    assert kind_of(KafkaError(9999, "new")) is Kind.OURS


def test_a_fatal_error_that_came_up_in_a_callback_is_found_behind_it():
    fatal = KafkaException(KafkaError(KafkaError._FENCED, "fenced", True))
    error = SystemError("_on_delivery returned a result with an exception set")
    error.__cause__ = fatal
    assert behind(error) is fatal
    assert behind(fatal) is fatal
    assert behind(SystemError("another")) is None
    assert behind(ValueError("another")) is None


def test_a_call_that_failed_without_saying_why_is_the_end_of_its_client():
    """Seen of a flush whose transaction was fenced while reports of its records came."""
    why = "<method 'flush' of 'cimpl.Producer' objects> returned NULL without setting an exception"
    found = behind(SystemError(why))
    assert found is not None
    assert kind_of(found.args[0]) is Kind.ANEW
    error = log_error(found.args[0], "b:1", "committing")
    assert isinstance(error, LogUnavailable)
    assert why in str(error)
