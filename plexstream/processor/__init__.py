"""The state machine of one partition, without I/O. Drivers connect it to a log, a store and an actor host."""

from plexstream.processor.fold import Fold
from plexstream.processor.ports import Settings, Store
from plexstream.processor.processor import Processor
from plexstream.processor.records import BadRecord, Fenced
from plexstream.processor.restore import Restore
from plexstream.processor.waiting.effects import EffectCall

__all__ = ["BadRecord", "EffectCall", "Fenced", "Fold", "Processor", "Restore", "Settings", "Store"]
