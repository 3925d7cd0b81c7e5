"""Actor types that come with plexstream."""

from plexstream.hosts.system.supervisor import SupervisorActor
from plexstream.sdk.spec import ActorType

SYSTEM_TYPES: dict[str, ActorType] = {
    spec.name: spec
    for spec in (SupervisorActor.__plexstream__,)  # type: ignore[attr-defined]
}
"""By name, as a native host takes them."""
