"""Faults under a stream of writes by clients that know all endpoints, and how long writes stop at each.  Used by
the test of failover and, with real etcd beside, by the comparison in test/interop."""
import base64
import contextlib
import os
import subprocess
import time

import history
from cairn_test import Skip
from cluster import Cluster
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
    """The member itself takes writes again: it has caught up.  Seconds that it took."""
    begin = time.monotonic()
    end = time.monotonic() + HANG_S
    while time.monotonic() < end:
        r = c.ctl('put', 'back', m.name, '--command-timeout=500ms', members=[m], ok=False)
        if r[2] == 0:
            return time.monotonic() - begin
        time.sleep(0.05)
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


def run(c, network, rounds=1, hold_s=HOLD_S):
    """(operations, {fault: [seconds without an acknowledged write]}, {fault: [seconds from its end until the member
    takes writes]}).  The cluster is whole at the end."""
    clients = history.Clients(c, ['stream', 'f/', 5])
    spans, returns = [], {}
    wait_for_writes(clients, 0)
    for name, of_leader, begin, end in faults(network) * rounds:
        m = pick(c, of_leader)
        start = time.monotonic()
        begin(m)
        wait_for_writes(clients, time.monotonic())
        time.sleep(max(0, start + hold_s - time.monotonic()))
        over = time.monotonic()
        end(m)
        returns.setdefault(name, []).append(wait_for_writes_at(c, m))
        spans.append((name, start, over))
    ops = clients.stop()
    silence = {}
    for name, start, over in spans:
        silence.setdefault(name, []).append(history.longest_silence(ops, start, over))
    return ops, silence, returns


def stored(c, prefix):
    """{key: (value, version, mod revision)}, linearizable."""
    r = c.json('get', prefix, '--prefix')
    text = lambda s: base64.b64decode(s).decode()  # noqa: E731
    return {text(kv['key']): (text(kv.get('value', '')), kv['version'], kv['mod_revision']) for kv in r.get('kvs', [])}


def check(c, ops, prefix='f/'):
    c.wait()
    c.assert_equal()
    history.check_revisions(ops)
    history.check_stored(ops, stored(c, prefix))


# ---- a full disk ----

@contextlib.contextmanager
def small_disk(path):
    path.mkdir()
    r = subprocess.run(['mount', '-t', 'tmpfs', '-o', 'size=256m', 'tmpfs', str(path)], capture_output=True, text=True)
    if r.returncode != 0:
        raise Skip(f'no tmpfs here: {r.stderr.strip()}')
    try:
        yield
    finally:
        subprocess.run(['umount', '-l', str(path)], check=True)


def fill(path):
    """Until not one byte more fits."""
    with open(path, 'ab', buffering=0) as f:
        for size in (1 << 20, 4096, 1):
            with contextlib.suppress(OSError):
                while True:
                    f.write(bytes(size))


def make_leader(c, m, wanted):
    """m leads, or (wanted False) does not."""
    for _ in range(50):
        leader = c.leader()
        if (leader is m) == wanted:
            return
        to = m if wanted else next(o for o in c.members if o is not m)
        ident = c.status([to])[to.url]['header']['member_id']
        c.ctl('move-leader', f'{ident:x}', members=[leader], ok=False)
    raise AssertionError('leadership does not move')


def use_up(c, m, filler, count=40):
    """The log's own file and the database have room left, and what fails gives room back: big values use it up.
    True: the member has ended."""
    for i in range(count):
        fill(filler)
        c.ctl('put', f'big/{i % 20}', ok=False, input='x' * 1_000_000, members=[o for o in c.members if o is not m])
        if not m.is_running():
            return True
    return False


def full_disk(t, of_leader, binary=None):
    """(cluster, the member whose disk was full, seconds without an acknowledged write)"""
    if os.getuid() != 0:
        raise Skip('a tmpfs needs root')
    c = Cluster(t, binary=binary)
    m = c.members[0]
    disk = t.dir / 'disk'
    m.data_dir = disk / 'm1.etcd'
    with small_disk(disk):
        c.start()
        make_leader(c, m, of_leader)
        clients = history.Clients(c, ['stream', 'f/', 5])
        wait_for_writes(clients, 0)
        begin = time.monotonic()
        c.had_ended = use_up(c, m, disk / 'filler')
        wait_for_writes(clients, time.monotonic())
        over = time.monotonic()
        (disk / 'filler').unlink()
        if not m.is_running():
            m.start()
        wait_for_writes_at(c, m)
        wait_for_writes(clients, time.monotonic())
        ops = clients.stop()
        check(c, ops)
        for member in c.members:
            member.kill()
    return c, m, history.longest_silence(ops, begin, over)
