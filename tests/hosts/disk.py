"""What a processor would keep of one actor."""

ADDRESS = "default/default/a/1"


class Disk:
    """State that outlives an instance."""

    def __init__(self):
        self.fields = {}
        self.entries = {}
        self.timers_by_id = {}

    def get(self, field, key):
        return self.entries.get((field, key))

    def scan(self, field):
        return iter(sorted((k, v) for (f, k), v in self.entries.items() if f == field))

    def timer(self, id):
        return self.timers_by_id.get(id)

    def timers(self):
        return iter(self.timers_by_id.values())

    def apply(self, patch):
        for field, key, value in patch:
            where, name = (self.fields, field) if key is None else (self.entries, (field, key))
            if value is None:
                where.pop(name, None)
            else:
                where[name] = value
