"""A checker of histories: is there an order of the operations on each key, compatible with who ended before
whom began, in which a register with a version counter gives the answers that were given?  (Wing and Gong's
search with Lowe's memory of states that led nowhere.)

State of a key: (value, version), ('-', 0) when it is not there; each write counts the version up by one, so
that a write that was done twice is seen even if its value is the same.  An operation without an answer may
have happened at any time after its call, or never.
"""
STEPS_MAX = 2_000_000
NOWHERE = float('inf')


class TooHard(Exception):
    """Not decided within STEPS_MAX."""


def effect(op, state):
    """(is the answer possible, the state behind)"""
    value, version = state
    if op.kind == 'put':
        return True, (op.value, version + 1)
    if op.kind == 'cas':
        if op.outcome == 'unknown':
            return True, (op.value, version + 1) if value == op.expected else state
        if op.outcome == 'ok':
            return value == op.expected, (op.value, version + 1)
        return value != op.expected and (op.seen, op.seen_version) == state, state
    return (op.seen, op.seen_version) == state, state


class Search:
    """Of one key.  Operations are numbered by their calls; `done` is a bit set of those that are placed."""

    def __init__(self, ops, steps_max):
        self.ops = sorted(ops, key=lambda o: o.call)
        self.ends = [NOWHERE if o.outcome == 'unknown' else o.ret for o in self.ops]
        self.needed = sum(1 << i for i, o in enumerate(self.ops) if o.outcome != 'unknown')
        self.steps_left = steps_max
        self.longest = 0  # most answered operations that fitted: where a violation is

    def candidates(self, done, first):
        """Those that may come next: begun before the first of the others ended.  Answered ones first."""
        bound, answered, open_ended = NOWHERE, [], []
        for i in range(first, len(self.ops)):
            if self.ops[i].call > bound:
                break
            if not done >> i & 1:
                (open_ended if self.ends[i] == NOWHERE else answered).append(i)
                bound = min(bound, self.ends[i])
        answered.sort(key=lambda i: self.ends[i])
        return answered + open_ended

    def advance(self, done, first):
        while first < len(self.ops) and done >> first & 1:
            first += 1
        return first

    def run(self):
        seen = set()
        stack = [(0, ('-', 0), 0)]
        while stack:
            done, state, first = stack.pop()
            if done & self.needed == self.needed:
                return True
            if (done, state) in seen:
                continue
            seen.add((done, state))
            self.steps_left -= 1
            if self.steps_left < 0:
                raise TooHard(f'{len(self.ops)} operations on {self.ops[0].key}')
            self.longest = max(self.longest, bin(done & self.needed).count('1'))
            first = self.advance(done, first)
            for i in reversed(self.candidates(done, first)):
                is_possible, after = effect(self.ops[i], state)
                if is_possible:
                    stack.append((done | 1 << i, after, first))
        return False


def by_key(ops):
    keys = {}
    for o in ops:
        if o.kind != 'get' or o.outcome != 'unknown':
            keys.setdefault(o.key, []).append(o)
    return keys


def check(ops, steps_max=STEPS_MAX):
    """None, or a text that says which key has no order.  TooHard when a key is not decided."""
    for key, own in sorted(by_key(ops).items()):
        s = Search(own, steps_max)
        if not s.run():
            lines = '\n'.join(str(tuple(o)) for o in s.ops)
            return f'{key}: no order fits ({s.longest} of {bin(s.needed).count("1")} do)\n{lines}'
    return None
