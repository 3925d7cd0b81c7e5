"""Every error code of Kafka and librdkafka, once: what it means for whoever asked, and what heals it."""

from __future__ import annotations

from enum import Enum

from confluent_kafka import KafkaError, KafkaException

from plexstream.model.errors import Fenced, LogError, LogUnavailable, TopicMissing


class Kind(Enum):
    """What an error asks for."""

    RENEW = "the client knows an old state of the cluster: renew its metadata, then ask again"
    LATER = "nothing is wrong but the time: ask again later"
    ANEW = "the client is of no use any more, what it had under way is unknown: make a new one"
    FENCED = "a newer owner has taken over"
    MISSING = "there is no such topic, partition or group"
    REFUSED = "the cluster refuses this for good: a right, a setting or what is asked for must change"
    OURS = "nothing that is asked for here should come to this: a fault of ours, or a broker of another kind"


_CODES: dict[Kind, str] = {
    Kind.RENEW: """
        _DESTROY_BROKER _ISR_INSUFF _NODE_UPDATE _NOENT _OUTDATED _UNKNOWN_BROKER _WAIT_CACHE
        BROKER_NOT_AVAILABLE FENCED_LEADER_EPOCH INCONSISTENT_TOPIC_ID KAFKA_STORAGE_ERROR
        LEADER_NOT_AVAILABLE LISTENER_NOT_FOUND NOT_CONTROLLER NOT_LEADER_FOR_PARTITION
        PREFERRED_LEADER_NOT_AVAILABLE REPLICA_NOT_AVAILABLE STALE_BROKER_EPOCH STALE_CTRL_EPOCH
        UNKNOWN_CONTROLLER_ID UNKNOWN_LEADER_EPOCH UNKNOWN_TOPIC_ID
    """,
    Kind.LATER: """
        _ALL_BROKERS_DOWN _ASSIGNMENT_LOST _FAIL _IN_PROGRESS _INTR _MAX_POLL_EXCEEDED _MSG_TIMED_OUT
        _PARTIAL _PREV_IN_PROGRESS _QUEUE_FULL _RESOLVE _RETRY _SSL _TIMED_OUT _TIMED_OUT_QUEUE _TRANSPORT
        _UNDERFLOW _WAIT_COORD
        CONCURRENT_TRANSACTIONS COORDINATOR_LOAD_IN_PROGRESS COORDINATOR_NOT_AVAILABLE
        ELIGIBLE_LEADERS_NOT_AVAILABLE FENCED_MEMBER_EPOCH FETCH_SESSION_ID_NOT_FOUND GROUP_MAX_SIZE_REACHED
        ILLEGAL_GENERATION INVALID_FETCH_SESSION_EPOCH MEMBER_ID_REQUIRED NETWORK_EXCEPTION NOT_COORDINATOR
        NOT_ENOUGH_REPLICAS NOT_ENOUGH_REPLICAS_AFTER_APPEND OFFSET_NOT_AVAILABLE OPERATION_NOT_ATTEMPTED
        PRINCIPAL_DESERIALIZATION_FAILURE REASSIGNMENT_IN_PROGRESS REBALANCE_IN_PROGRESS REQUEST_TIMED_OUT
        STALE_MEMBER_EPOCH THROTTLING_QUOTA_EXCEEDED TRANSACTION_COORDINATOR_FENCED UNKNOWN_MEMBER_ID
        UNKNOWN UNRELEASED_INSTANCE_ID UNSTABLE_OFFSET_COMMIT
    """,
    Kind.ANEW: """
        _CRIT_SYS_RESOURCE _DESTROY _FATAL _GAPLESS_GUARANTEE _INCONSISTENT _PURGE_INFLIGHT _PURGE_QUEUE
        _STATE
        DUPLICATE_SEQUENCE_NUMBER INVALID_PRODUCER_ID_MAPPING INVALID_TXN_STATE OUT_OF_ORDER_SEQUENCE_NUMBER
        REBOOTSTRAP_REQUIRED TRANSACTION_ABORTABLE UNKNOWN_PRODUCER_ID
    """,
    Kind.FENCED: "_FENCED FENCED_INSTANCE_ID INVALID_PRODUCER_EPOCH PRODUCER_FENCED",
    Kind.MISSING: """
        _UNKNOWN_GROUP _UNKNOWN_PARTITION _UNKNOWN_TOPIC GROUP_ID_NOT_FOUND RESOURCE_NOT_FOUND
        UNKNOWN_TOPIC_OR_PART
    """,
    Kind.REFUSED: """
        _AUTHENTICATION _AUTO_OFFSET_RESET _CONFLICT _FS _INVALID_ARG _INVALID_DIFFERENT_RECORD
        _LOG_TRUNCATION _NO_OFFSET _NOT_CONFIGURED _UNSUPPORTED_FEATURE
        CLUSTER_AUTHORIZATION_FAILED DELEGATION_TOKEN_AUTH_DISABLED DELEGATION_TOKEN_AUTHORIZATION_FAILED
        DELEGATION_TOKEN_EXPIRED DELEGATION_TOKEN_NOT_FOUND DELEGATION_TOKEN_OWNER_MISMATCH
        DELEGATION_TOKEN_REQUEST_NOT_ALLOWED GROUP_AUTHORIZATION_FAILED ILLEGAL_SASL_STATE
        INCONSISTENT_GROUP_PROTOCOL INVALID_COMMIT_OFFSET_SIZE INVALID_CONFIG INVALID_GROUP_ID INVALID_MSG
        INVALID_MSG_SIZE INVALID_PARTITIONS INVALID_PRINCIPAL_TYPE INVALID_RECORD INVALID_REPLICA_ASSIGNMENT
        INVALID_REPLICATION_FACTOR INVALID_SESSION_TIMEOUT INVALID_TIMESTAMP INVALID_TRANSACTION_TIMEOUT
        MSG_SIZE_TOO_LARGE OFFSET_METADATA_TOO_LARGE OFFSET_OUT_OF_RANGE POLICY_VIOLATION
        RECORD_LIST_TOO_LARGE SASL_AUTHENTICATION_FAILED SECURITY_DISABLED TOPIC_ALREADY_EXISTS
        TOPIC_AUTHORIZATION_FAILED TOPIC_DELETION_DISABLED TOPIC_EXCEPTION
        TRANSACTIONAL_ID_AUTHORIZATION_FAILED
        UNACCEPTABLE_CREDENTIAL UNSUPPORTED_ASSIGNOR UNSUPPORTED_COMPRESSION_TYPE
        UNSUPPORTED_FOR_MESSAGE_FORMAT UNSUPPORTED_SASL_MECHANISM UNSUPPORTED_VERSION
    """,
    Kind.OURS: """
        _APPLICATION _ASSIGN_PARTITIONS _BAD_COMPRESSION _BAD_MSG _EXISTING_SUBSCRIPTION _INVALID_TYPE
        _KEY_DESERIALIZATION _KEY_SERIALIZATION _NOOP _NOT_IMPLEMENTED _PARTITION_EOF _READ_ONLY
        _REVOKE_PARTITIONS _UNKNOWN_PROTOCOL _VALUE_DESERIALIZATION _VALUE_SERIALIZATION
        DUPLICATE_RESOURCE DUPLICATE_VOTER ELECTION_NOT_NEEDED FEATURE_UPDATE_FAILED FENCED_STATE_EPOCH
        GROUP_SUBSCRIBED_TO_TOPIC INCONSISTENT_VOTER_SET INVALID_RECORD_STATE INVALID_REGISTRATION
        INVALID_REGULAR_EXPRESSION INVALID_REQUEST INVALID_REQUIRED_ACKS INVALID_SHARE_SESSION_EPOCH
        INVALID_UPDATE_VERSION INVALID_VOTER_KEY LOG_DIR_NOT_FOUND MISMATCHED_ENDPOINT_TYPE NO_ERROR
        NO_REASSIGNMENT_IN_PROGRESS NON_EMPTY_GROUP SHARE_SESSION_LIMIT_REACHED SHARE_SESSION_NOT_FOUND
        STREAMS_INVALID_TOPOLOGY STREAMS_INVALID_TOPOLOGY_EPOCH STREAMS_TOPOLOGY_FENCED TELEMETRY_TOO_LARGE
        UNKNOWN_SUBSCRIPTION_ID UNSUPPORTED_ENDPOINT_TYPE VOTER_NOT_FOUND
    """,
}

REFUSED_TOPIC = frozenset(
    (
        KafkaError.CLUSTER_AUTHORIZATION_FAILED, KafkaError.INVALID_CONFIG, KafkaError.INVALID_PARTITIONS,
        KafkaError.POLICY_VIOLATION, KafkaError.TOPIC_AUTHORIZATION_FAILED, KafkaError.TOPIC_EXCEPTION,
    )
)  # fmt: skip
"""Of what is REFUSED: a topic may not be made, or nothing be written to it."""
REFUSED_RECORD = frozenset(
    (
        KafkaError.INVALID_MSG, KafkaError.INVALID_MSG_SIZE, KafkaError.INVALID_RECORD,
        KafkaError.MSG_SIZE_TOO_LARGE, KafkaError.RECORD_LIST_TOO_LARGE,
    )
)  # fmt: skip
"""Of what is REFUSED: a record, for what it is. Not for when it was: a clock can be set right."""

KINDS: dict[int, Kind] = {
    # A code that another version of librdkafka does not know cannot come from it.
    code: kind
    for kind, names in _CODES.items()
    for name in names.split()
    if (code := getattr(KafkaError, name, None)) is not None
}


def kind_of(error: KafkaError) -> Kind:
    """What an error asks for. One that makes its client useless asks for a new client, whatever its code."""
    kind = KINDS.get(error.code())
    if error.fatal() and kind is not Kind.FENCED:
        return Kind.ANEW
    if kind is None:  # of a broker that is newer than librdkafka
        return Kind.LATER if error.retriable() else Kind.OURS
    return kind


_NO_CAUSE = "returned NULL without setting"
_TOO_EARLY = "Invalid timestamp"
"""By its text: an appender's error is that there would be a gap, and says in words why."""


def behind(error: Exception) -> KafkaException | None:
    """librdkafka's error behind an exception of confluent-kafka; None: it is another one.

    A fatal error that comes up while a callback of ours is called makes it raise a SystemError, with the
    KafkaException as its cause. Where another callback comes behind that one, the cause is gone: what is left
    is a call that "returned NULL without setting an exception".
    """
    if isinstance(error, KafkaException):
        return error
    if not isinstance(error, SystemError):
        return None
    cause = error.__cause__ or error.__context__
    if isinstance(cause, KafkaException):
        return cause
    return KafkaException(KafkaError(KafkaError._FATAL, str(error))) if _NO_CAUSE in str(error) else None


def passes(error: KafkaError) -> bool:
    """Whether to ask again is all that an error asks for: it is over at some time."""
    return kind_of(error) in (Kind.RENEW, Kind.LATER)


def log_error(error: KafkaError, bootstrap: str, doing: str) -> LogError:
    """The error of the tree for one of librdkafka's."""
    said = f"{error.str()} [{error.name()}]"
    if _TOO_EARLY in said:
        said += "; the clock of this machine is far from the brokers': synchronise the clocks (NTP)"
    match kind_of(error):
        case Kind.FENCED:
            return Fenced(f"{doing}: a newer owner has taken over ({said})")
        case Kind.RENEW | Kind.LATER:
            return LogUnavailable(f"Kafka at {bootstrap}: {doing} got no answer ({said}): is the broker up?")
        case Kind.ANEW:
            return LogUnavailable(
                f"Kafka at {bootstrap}: {doing} failed ({said}): what became of it is unknown, "
                "a new client goes on"
            )
        case Kind.MISSING:
            return TopicMissing(f"Kafka at {bootstrap}: {doing}: no such topic or partition ({said})")
        case Kind.REFUSED:
            return LogError(
                f"Kafka at {bootstrap}: {doing} was refused: {said}: change the right, the setting "
                "or what is asked for"
            )
    return LogError(f"Kafka at {bootstrap}: {doing} failed: {said}")
