#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Cairn and real etcd in one cluster: the 20 rows of peer-protocol 7 with etcd 3.5, 3.6, 3.7 (3.7 never
together with 3.5), one Cairn and two etcds, two and one, plain and over TLS, led by either; then migrations
under load and back.  After each cluster HashKV and the decoded buckets are equal on all members.

    mixed_test.py --versions 3.6 --rows 7,8 --clusters small --keep
"""
import argparse
import concurrent.futures
import inspect
import pathlib
import sys
import threading
import time
import traceback

HERE = pathlib.Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent / 'lib'))
sys.path.insert(0, str(HERE))
import mixed_rows as rows  # noqa: E402
import mixed_special as special  # noqa: E402
from cairn_test import ROOT, Skip, Test  # noqa: E402
from mixed import Mixed  # noqa: E402

FIRST = [rows.row_1_ids, rows.row_2_status, rows.row_3_operations, rows.row_3_leases,
         rows.row_3_leases_led_by_cairn, rows.row_4_reads]
LOADED = [*FIRST, rows.row_5_writers, rows.row_6_kill]
SMALL = [rows.row_7_snapshot_to_cairn, rows.row_8_snapshot_from_cairn, rows.row_9_membership,
         rows.row_10_removal, rows.row_11_joins, rows.row_16_refusals,
         rows.row_14_no_space]
TWO = [rows.row_7_snapshot_to_cairn, rows.row_8_snapshot_from_cairn, rows.row_9_membership]


def shared_clusters(version):
    """(name, how to make it, rows that go through it)."""
    joined = 'new' if version == '3.7' else 'join'
    return [
        ('1+2 plain', {'kinds': 'ece', 'how': 'dir'}, LOADED),
        ('2+1 TLS', {'kinds': 'ecc', 'how': joined, 'is_tls': True}, LOADED),
        ('2+1 plain', {'kinds': 'ecc', 'how': 'dir'}, FIRST),
        ('1+2 TLS', {'kinds': 'eec', 'how': joined, 'is_tls': True}, FIRST),
        ('1+2 small snapshots', {'kinds': 'ece', 'how': 'dir', 'snapshots': True}, SMALL),
        ('2+1 TLS small snapshots', {'kinds': 'ecc', 'how': 'dir', 'snapshots': True, 'is_tls': True}, TWO),
    ]


class Run:
    """Units are a shared cluster with its rows, or a row with a cluster of its own; several at a time."""

    def __init__(self, args):
        self.args = args
        self.build = (ROOT / args.build).resolve()
        self.lock = threading.Lock()
        self.counts = {'passed': 0, 'failed': 0, 'skipped': 0}
        self.wanted = {int(x) for x in args.rows.split(',') if x}

    def wants(self, row):
        return not self.wanted or int(row.__name__.split('_')[1]) in self.wanted

    def one(self, label, name, call, text):
        """Calls, counts and prints one row; False: failed."""
        started, result, why, more = time.monotonic(), 'passed', '', ''
        rows.said.lines = []
        try:
            call()
        except Skip as e:
            result, why = 'skipped', f': {e}'
        except Exception:
            result, more = 'failed', traceback.format_exc()
        word = {'passed': 'ok', 'failed': 'FAILED', 'skipped': 'skipped'}[result]
        line = f'{word} {label} {name}: {text}{why} ({time.monotonic() - started:.0f} s)'
        with self.lock:
            self.counts[result] += 1
            print(more + '\n'.join([line, *rows.said.lines]), flush=True)
        return result != 'failed'

    def shared(self, version, name, how, todo):
        """Row after row on one cluster; behind a failure on a new one."""
        label = f'{version} {name}'
        t = c = None
        for row in todo:
            if c is None:
                t = Test(self.build, f'mixed-{label.replace(" ", "-")}')
                try:
                    c = Mixed(t, version, **how)
                except Skip as e:
                    self.one(label, 'start', lambda e=e: (_ for _ in ()).throw(e), 'programs')
                    return t.close(False)
                if not self.one(label, 'start', c.up, 'all together'):
                    return self.drop(t)
            if not self.one(label, row.__name__, lambda row=row: row(c), inspect.getdoc(row)):
                self.drop(t)
                t = c = None
        if c is not None:
            self.drop(t, self.one(label, 'end', c.finish, 'HashKV and decoded buckets are equal'))

    def drop(self, t, good=False):
        if not good and self.args.keep:
            print(f'    files: {t.dir}', flush=True)
        t.close(self.args.keep and not good)

    def alone(self, version, row):
        t = Test(self.build, f'mixed-{version}-{row.__name__}')
        self.drop(t, self.one(version, row.__name__, lambda: row(t, version), inspect.getdoc(row)))

    def units(self, version):
        for name, how, todo in shared_clusters(version):
            todo = [r for r in todo if self.wants(r)]
            if todo and self.args.clusters in name:
                yield self.shared, version, name, how, todo
        for row in special.ROWS if self.args.clusters in ('', 'alone') else []:
            if self.wants(row) and version in special.VERSIONS.get(row, version):
                yield self.alone, version, row


def main():
    ap = argparse.ArgumentParser()
    ap.add_argument('--build', default='build')
    ap.add_argument('--versions', default='3.5,3.6,3.7')
    ap.add_argument('--rows', default='', help='numbers, as 3,4,19; migrations are 21')
    ap.add_argument('--clusters', default='', help='part of a name: plain, TLS, 2+1, small; or alone')
    ap.add_argument('--jobs', type=int, default=5, help='clusters at a time')
    ap.add_argument('--keep', action='store_true', help='keep the files of what failed')
    args = ap.parse_args()
    run = Run(args)
    with concurrent.futures.ThreadPoolExecutor(args.jobs) as pool:
        todo = [pool.submit(*unit) for version in args.versions.split(',') for unit in run.units(version)]
    for unit in todo:
        unit.result()
    print(', '.join(f'{run.counts[k]} {k}' for k in ('passed', 'failed', 'skipped')))
    sys.exit(1 if run.counts['failed'] or not sum(run.counts.values()) else 0)


if __name__ == '__main__':
    main()
