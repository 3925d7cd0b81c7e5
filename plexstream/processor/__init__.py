"""The state machine of one partition, without I/O. Drivers connect it to a log, a store and an actor host."""

from plexstream.processor.journal.records import BadRecord, EffectCall
from plexstream.processor.journal.restore import Restore
from plexstream.processor.journal.sums.fold import Fold
from plexstream.processor.partition import Processor
from plexstream.processor.state.ports import Settings, Store

__all__ = ["BadRecord", "EffectCall", "Fold", "Processor", "Restore", "Settings", "Store"]
