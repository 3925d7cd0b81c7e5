"""The state machine of one partition, without I/O. Drivers connect it to a log, a store and an actor host."""

from plexstream.processor.journal.fold import Fold
from plexstream.processor.journal.restore import Restore
from plexstream.processor.partition import Processor
from plexstream.processor.ports import Settings, Store
from plexstream.processor.records import BadRecord, EffectCall

__all__ = ["BadRecord", "EffectCall", "Fold", "Processor", "Restore", "Settings", "Store"]
