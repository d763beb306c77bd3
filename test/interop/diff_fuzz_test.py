#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""One stream of KV and Maintenance requests to real etcd and to Cairn; every answer must be equal.

For each of etcd 3.5, 3.6, 3.7: it makes a directory with a few leases and stops; the directory is copied;
etcd starts on one copy and Cairn on the other (so at the same level, with the same ids), and the
generator in test/interop/diff runs against both.  On a difference it prints the seed, both answers and a
short list of requests that shows it again on new servers.

DIFF_REQUESTS  generated requests for each version (34000: over 100,000 together)
DIFF_SEED      seed of the first version (1)
"""
import json
import os
import pathlib
import shutil
import subprocess
import sys
import time
import urllib.request

HERE = pathlib.Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent / 'lib'))
sys.path.insert(0, str(HERE))
import reference  # noqa: E402
from cairn_test import HANG_S, Skip, free_port, main  # noqa: E402

REQUESTS = int(os.environ.get('DIFF_REQUESTS', '34000'))
SEED = int(os.environ.get('DIFF_SEED', '1'))
# Leases that the generator knows (gen.go: leaseFirst, leaseCount); they outlive any run.
LEASES = range(1001, 1005)
LEASE_TTL_S = 1_000_000_000
# The search for a shorter list ends after so many pairs of new servers.
SHRINK_TRIES = 40
PRINTED_LINES, PRINTED_BYTES = 40, 2000
# A run with fewer requests may miss a branch.
CHECKED_REQUESTS = 20000


def generator(t):
    out = t.build / 'interop' / 'interop-diff'
    out.parent.mkdir(parents=True, exist_ok=True)
    newest = max(f.stat().st_mtime for f in (HERE / 'diff').iterdir())
    if not out.exists() or out.stat().st_mtime < newest:
        reference.go_build(HERE / 'diff', out, '.')
    return out


class Pair:
    """Real etcd and Cairn on copies of one directory; advertised addresses are equal, so that the
    files may be equal too (Hash)."""

    def __init__(self, t, etcd, version):
        self.t, self.version, self.number = t, version, 0
        self.advertised = [f'http://127.0.0.1:{free_port()}' for _ in range(2)]
        prefix = 'experimental-compaction' if version == '3.5' else 'compaction'
        self.theirs = self.server(etcd, prefix)
        self.ours = self.server(t.bin('cairn'), 'compaction')
        self.base = self.make_base()

    def server(self, binary, prefix):
        client, peer = self.advertised
        # Physical deletion in small steps: hashes must have the time to fall in between.
        return self.t.server(binary=binary, args=[
            '--unsafe-no-fsync', '--advertise-client-urls', client, '--initial-advertise-peer-urls', peer,
            '--initial-cluster', f'default={peer}', f'--{prefix}-batch-limit', '20',
            f'--{prefix}-sleep-interval', '10ms'])

    def make_base(self):
        s = self.theirs
        s.data_dir = self.t.dir / 'base.etcd'
        s.start()
        for lease in LEASES:
            gateway(s, '/v3/lease/grant', {'ID': lease, 'TTL': LEASE_TTL_S})
        wait_storage_version(s, self.version)
        s.stop()
        return s.data_dir

    def fresh(self):
        """New directories from the base, new ports, both started."""
        self.number += 1
        for s, who in ((self.theirs, 'theirs'), (self.ours, 'ours')):
            s.data_dir = self.t.dir / f'{who}-{self.number}.etcd'
            shutil.copytree(self.base, s.data_dir)
            s.client_port, s.peer_port = free_port(), free_port()
        self.start()

    def start(self):
        for s in (self.theirs, self.ours):
            s.start(wait=False)
        for s in (self.theirs, self.ours):
            s.wait_listening()

    def restart(self, how):
        for s in (self.theirs, self.ours):
            s.kill() if how == 'kill' else s.stop()
        self.start()

    def drop(self):
        for s in (self.theirs, self.ours):
            if s.process.poll() is None:
                s.kill()
            shutil.rmtree(s.data_dir, ignore_errors=True)


def gateway(server, path, body):
    req = urllib.request.Request(server.url + path, data=json.dumps(body).encode(), method='POST')
    with urllib.request.urlopen(req, timeout=HANG_S) as r:
        return json.loads(r.read())


def wait_storage_version(server, version):
    """3.6 and later mark their files a few seconds after the start."""
    end = time.monotonic() + HANG_S
    while time.monotonic() < end:
        status = gateway(server, '/v3/maintenance/status', {})
        if version == '3.5' or status.get('storageVersion', '').startswith(version):
            return
        time.sleep(0.1)
    raise AssertionError(f'no storage version: {status}')


def run_generator(t, binary, pair, args):
    """(exit status, text); restarts the servers when it asks."""
    cmd = [str(binary), '-reference', pair.theirs.endpoint, '-ours', pair.ours.endpoint, *args]
    p = subprocess.Popen(cmd, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=t.dir,
                         errors='replace')
    t.processes.append(p)
    text = []
    for line in p.stdout:
        if line.startswith('@restart'):
            pair.restart(line.split()[1])
            p.stdin.write('\n')
            p.stdin.flush()
        else:
            text.append(line)
    return p.wait(HANG_S), ''.join(text)


class Shrink:
    """Looks for a short list of requests that shows the difference of a log's last one again.

    What is left out is replaced by puts that bring new servers to the same revision.
    """

    def __init__(self, t, binary, pair, log):
        self.t, self.binary, self.pair = t, binary, pair
        self.lines = log.read_text().splitlines()
        self.tries = 0

    def pad_before(self, line):
        _, before, compacted = line.split()[:3]
        return f'@pad {before} {compacted}'

    def shows(self, lines):
        """The text of the difference, or None."""
        self.tries += 1
        path = self.t.dir / 'replay.log'
        path.write_text('\n'.join(lines) + '\n')
        self.pair.fresh()
        status, text = run_generator(self.t, self.binary, self.pair, ['-level', self.pair.version,
                                                                     '-replay', str(path)])
        self.pair.drop()
        return text if status == 1 else None

    def suffix(self):
        """The shortest of the last 1, 4, 16 ... requests that still shows it."""
        count = 1
        while self.tries < SHRINK_TRIES:
            lines = self.lines[-count:]
            first = next(line for line in lines if not line.startswith('@'))
            if self.shows([self.pad_before(first), *lines]):
                return [self.pad_before(first), *lines]
            if count >= len(self.lines):
                return None
            count *= 4
        return None

    def without(self, lines):
        """What stands for the lines: nothing, or puts up to the revision behind them."""
        written = [line.split() for line in lines if not line.startswith('@restart')]
        revs = [w[1] if w[0] == '@pad' else w[3] for w in written]
        return [f'@pad {revs[-1]} -1'] if revs else []

    def run(self):
        lines = self.suffix()
        if lines is None:
            return None
        step = len(lines) // 2
        while step >= 1 and self.tries < SHRINK_TRIES:
            at = 1
            while at < len(lines) - 1 and self.tries < SHRINK_TRIES:
                end = min(at + step, len(lines) - 1)
                shorter = lines[:at] + self.without(lines[at:end]) + lines[end:]
                if len(shorter) < len(lines) and self.shows(shorter):
                    lines = shorter
                else:
                    at = end
            step //= 2
        return lines


def report(t, binary, pair, log, text):
    print(text)
    pair.drop()
    shrink = Shrink(t, binary, pair, log)
    lines = shrink.run()
    if lines is None:
        print('the difference does not show again on new servers')
    else:
        path = t.build / 'interop' / f'diff-{pair.version}.log'
        path.write_text('\n'.join(lines) + '\n')
        print(f'{len(lines)} lines show it again ({shrink.tries} tries; interop-diff -replay {path}), the last:')
        print('\n'.join(line[:PRINTED_BYTES] for line in lines[-PRINTED_LINES:]))


def fuzz(t, version, seed):
    try:
        etcd, binary = reference.programs(t.build, version)['etcd'], generator(t)
    except reference.Missing as e:
        raise Skip(str(e))
    pair = Pair(t, etcd, version)
    pair.fresh()
    log = t.dir / 'requests.log'
    status, text = run_generator(t, binary, pair, [
        '-level', version, '-seed', str(seed), '-requests', str(REQUESTS), '-log', str(log),
        f'-check={"true" if REQUESTS >= CHECKED_REQUESTS else "false"}'])
    if status == 1 and 'DIFFERENCE' in text:
        report(t, binary, pair, log, text)
    else:
        print(text)
    assert status == 0, f'seed {seed}, level {version}: {pair.ours.log()[-2000:] if status > 1 else "see above"}'


def test_diff_3_5(t):
    fuzz(t, '3.5', SEED)


def test_diff_3_6(t):
    fuzz(t, '3.6', SEED + 1)


def test_diff_3_7(t):
    fuzz(t, '3.7', SEED + 2)


if __name__ == '__main__':
    main(globals())
