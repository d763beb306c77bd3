"""Faults under a stream of writes by clients that know all endpoints, and how long writes stop at each.  Used by
the test of failover and, with real etcd beside, by the comparison in test/interop."""
import time

import history
from nemesis import go_on, stop

HANG_S = 60
HOLD_S = 2.0  # a fault lasts at least so long


def seen_of(clients):
    return history.parse(clients.path.read_text().rpartition('\n')[0])


def wait_for_writes(clients, since, count=20, hang_s=HANG_S):
    """Until so many writes that were begun after `since` are acknowledged."""
    end = time.monotonic() + hang_s
    while time.monotonic() < end:
        acks = [o for o in seen_of(clients) if o.call > since and o.outcome == 'ok']
        if len(acks) >= count:
            return
        time.sleep(0.1)
    raise AssertionError(f'no writes for {hang_s} s')


def wait_for_writes_at(c, m):
    """The member itself takes writes again: it has caught up."""
    end = time.monotonic() + HANG_S
    while time.monotonic() < end:
        r = c.ctl('put', 'back', m.name, members=[m], ok=False)
        if r[2] == 0:
            return
        time.sleep(0.1)
    raise AssertionError(f'{m.name} does not come back: {r}\n{m.log()[-3000:]}')


def faults(network):
    """(name, of the leader, begin, end)"""
    kinds = [('kill -9', lambda m: m.kill(), lambda m: m.start()), ('SIGSTOP', stop, go_on)]
    if network is not None:
        kinds.append(('cut', network.cut, network.mend))
    return [(f'{name} of {who}', who == 'the leader', begin, end)
            for name, begin, end in kinds for who in ('the leader', 'a follower')]


def pick(c, of_leader):
    leader = c.leader()
    return leader if of_leader else next(m for m in c.members if m is not leader)


def run(c, network, rounds=1):
    """(operations, {fault: [seconds without an acknowledged write]}).  The cluster is whole at the end."""
    clients = history.Clients(c, ['stream', 'f/', 5])
    spans = []
    wait_for_writes(clients, 0)
    for name, of_leader, begin, end in faults(network) * rounds:
        m = pick(c, of_leader)
        start = time.monotonic()
        begin(m)
        wait_for_writes(clients, time.monotonic())
        time.sleep(max(0, start + HOLD_S - time.monotonic()))
        over = time.monotonic()
        end(m)
        wait_for_writes_at(c, m)
        spans.append((name, start, over))
    ops = clients.stop()
    silence = {}
    for name, start, over in spans:
        silence.setdefault(name, []).append(history.longest_silence(ops, start, over))
    return ops, silence


def stored(c, prefix):
    """{key: (value, version, mod revision)}, linearizable."""
    import base64
    r = c.json('get', prefix, '--prefix')
    text = lambda s: base64.b64decode(s).decode()  # noqa: E731
    return {text(kv['key']): (text(kv.get('value', '')), kv['version'], kv['mod_revision']) for kv in r.get('kvs', [])}


def check(c, ops, prefix='f/'):
    c.wait()
    c.assert_equal()
    history.check_revisions(ops)
    history.check_stored(ops, stored(c, prefix))
