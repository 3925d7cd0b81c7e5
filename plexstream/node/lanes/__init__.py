"""The ways out by transactions: outputs, dead letters, snapshots; and how records are made of what leaves."""
