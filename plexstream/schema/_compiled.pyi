from typing import Generic, TypeVar

R = TypeVar("R")

class Record(Generic[R]):
    """How records of a named tuple are written and read.

    Parameters:
        cls: the named tuple's class.
        prefix: the bytes before each record, at most 64.
        shape: a letter for each field, as `_compiled.c` lists them.
        subs: of the fields that are records or arrays of such, in order.

    Raises:
        ValueError: `shape` is not one for such a class.
    """

    def __init__(self, cls: type[R], prefix: bytes, shape: str, subs: tuple[Record[object], ...]) -> None: ...
    def encode(self, record: R, /) -> bytes | None:
        """The bytes of a record; None: the twin in Python must decide."""

    def keyed(self, records: list[R], field: int, /) -> list[tuple[bytes, bytes | None]] | None:
        """Each record, encoded, behind the text in one of its fields; None: the twin must decide."""

    def decode(self, data: bytes, skip: int = -1, /) -> R | None:
        """The record that `data` are; None: the twin in Python must decide.

        `skip` is the number of the array field whose items are passed over.
        """
