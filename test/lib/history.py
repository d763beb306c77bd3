"""What clients of a cluster did and were told (test/history writes it): running them, reading it, and what
must be true of it whatever was done to the cluster.  Times are seconds of the monotonic clock, which is the
machine's, so that a test can place its faults among them."""
import collections
import subprocess
import time

HANG_S = 60

Op = collections.namedtuple('Op', 'client call ret kind key value expected outcome revision seen seen_version error')


def parse(text):
    ops = []
    for line in text.splitlines():
        c = line.split('\t')
        ops.append(Op(int(c[0]), int(c[1]) / 1e6, int(c[2]) / 1e6, c[3], c[4], c[5], c[6], c[7], int(c[8]), c[9],
                      int(c[10]), c[11]))
    return sorted(ops, key=lambda o: o.call)


class Clients:
    """The program, running.  what: ['stream', prefix, ...] or ['mix', prefix, ...]"""

    def __init__(self, cluster, what, timeout_ms=3000, members=None, name='history'):
        t = cluster.t
        self.path = t.dir / f'{name}.txt'
        endpoints = ','.join(m.url for m in members or cluster.members)
        cmd = [str(t.build / 'test' / 'history' / 'history'), '--endpoints', endpoints,
               '--timeout-ms', str(timeout_ms)]
        if cluster.certs:
            cmd += ['--certs', str(cluster.certs)]
        with open(self.path, 'wb') as out:
            self.process = subprocess.Popen(cmd + [str(w) for w in what], stdout=out)
        t.processes.append(self.process)

    def stop(self):
        self.process.terminate()
        assert self.process.wait(HANG_S) == 0
        return parse(self.path.read_text())


def longest_silence(ops, begin, end):
    """Seconds without any acknowledgement between these times."""
    acks = sorted(o.ret for o in ops if o.outcome != 'unknown' and begin <= o.ret <= end)
    points = [begin, *acks, end]
    return max(b - a for a, b in zip(points, points[1:]))


def check_revisions(ops):
    """What is told later is never older; each acknowledged write has a revision of its own."""
    done = sorted((o for o in ops if o.outcome != 'unknown'), key=lambda o: o.ret)
    newest, at = 0, 0
    for o in sorted(done, key=lambda o: o.call):
        while at < len(done) and done[at].ret < o.call:
            newest = max(newest, done[at].revision)
            at += 1
        assert o.revision >= newest, f'the revision went back to {o.revision} from {newest}: {o}'
    writes = [o.revision for o in done if o.kind != 'get' and o.outcome == 'ok']
    assert len(writes) == len(set(writes)), 'two writes have one revision'


def check_stored(ops, kvs):
    """kvs: {key: (value, version, mod_revision)} of a stream's keys, read at the end."""
    lost = [o for o in ops if o.outcome == 'ok' and o.key not in kvs]
    assert not lost, f'{len(lost)} acknowledged writes are lost, the first is {lost[0]}'
    written = {o.key: o for o in ops}
    for key, (value, version, revision) in kvs.items():
        o = written[key]
        assert value == o.value and version == 1, f'{key} is {value}, version {version}: {o}'
        assert o.outcome != 'ok' or o.revision == revision, f'{key} has revision {revision}: {o}'


def now():
    return time.monotonic()
