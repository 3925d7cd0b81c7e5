"""What a processor would keep of one actor."""

ADDRESS = "default/default/a/1"


class Disk:
    """State that outlives an instance."""

    def __init__(self):
        self.fields = {}
        self.stored = {}
        self.timers_by_id = {}

    def get(self, field, key):
        return self.stored.get((field, key))

    def entries(self, field, start="", stop=None, reverse=False, chunk=8):
        found = ((k, v) for (f, k), v in self.stored.items() if f == field and start <= k)
        return iter(sorted(((k, v) for k, v in found if stop is None or k < stop), reverse=reverse))

    def timer(self, id):
        return self.timers_by_id.get(id)

    def timers(self):
        return iter(self.timers_by_id.values())

    def apply(self, patch):
        for field, key, value in patch:
            where, name = (self.fields, field) if key is None else (self.stored, (field, key))
            if value is None:
                where.pop(name, None)
            else:
                where[name] = value
