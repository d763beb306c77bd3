#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Cairn and real etcd in one cluster: the 20 rows of peer-protocol 7 with etcd 3.5, 3.6, 3.7 (3.7 never
together with 3.5), one Cairn and two etcds, two and one, plain and over TLS, led by either; then migrations
under load and back.  After each cluster HashKV and the decoded buckets are equal on all members.

    mixed_test.py --versions 3.6 --rows 7,8 --clusters dir --keep
"""
import argparse
import inspect
import pathlib
import sys
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
         rows.row_16_lease_pages, rows.row_14_no_space]


def shared_clusters(version):
    """(name, how to make it, rows that go through it)."""
    joined = 'new' if version == '3.7' else 'join'
    return [
        ('1+2 plain', {'kinds': 'ece', 'how': 'dir'}, LOADED),
        ('2+1 TLS', {'kinds': 'ecc', 'how': joined, 'is_tls': True}, LOADED),
        ('2+1 plain', {'kinds': 'ecc', 'how': 'dir'}, FIRST),
        ('1+2 TLS', {'kinds': 'eec', 'how': joined, 'is_tls': True}, FIRST),
        ('1+2 small snapshots', {'kinds': 'ece', 'how': 'dir', 'snapshots': True}, SMALL),
    ]


class Run:
    def __init__(self, args):
        self.args = args
        self.build = (ROOT / args.build).resolve()
        self.counts = {'passed': 0, 'failed': 0, 'skipped': 0}
        self.wanted = {int(x) for x in args.rows.split(',') if x}
        self.missing = []

    def wants(self, row):
        number = row.__name__.split('_')[1]
        return not self.wanted or (number.isdigit() and int(number) in self.wanted)

    def one(self, label, name, call, text):
        started, result, why = time.monotonic(), 'passed', ''
        try:
            call()
        except Skip as e:
            result, why = 'skipped', f': {e}'
        except Exception:
            result = 'failed'
            traceback.print_exc(file=sys.stdout)
        self.counts[result] += 1
        word = {'passed': 'ok', 'failed': 'FAILED', 'skipped': 'skipped'}[result]
        print(f'{word} {label} {name}: {text}{why} ({time.monotonic() - started:.0f} s)', flush=True)
        return result != 'failed'

    def shared(self, version, name, how, todo):
        todo = [r for r in todo if self.wants(r)]
        t = c = None

        def new():
            nonlocal t, c
            t = Test(self.build, f'mixed-{version}-{name.replace(" ", "-")}')
            c = Mixed(t, version, **how)
            c.up()
        for row in todo:
            label = f'{version} {name}'
            if c is None and not self.one(label, 'start', new, 'all together'):
                self.drop(t)
                return
            if not self.one(label, row.__name__, lambda row=row: row(c), inspect.getdoc(row)):
                self.drop(t)
                t = c = None
        if c is not None:
            good = self.one(label, 'end', c.finish, 'HashKV and buckets are equal')
            self.drop(t, good)

    def drop(self, t, good=False):
        if not good:
            print(f'    files: {t.dir}' if self.args.keep else '', flush=True)
        t.close(self.args.keep and not good)

    def alone(self, version, row):
        t = Test(self.build, f'mixed-{version}-{row.__name__}')
        good = self.one(version, row.__name__, lambda: row(t, version), inspect.getdoc(row))
        self.drop(t, good)


def main():
    ap = argparse.ArgumentParser()
    ap.add_argument('--build', default='build')
    ap.add_argument('--versions', default='3.5,3.6,3.7')
    ap.add_argument('--rows', default='', help='numbers, as 3,4,19; migrations are 21')
    ap.add_argument('--clusters', default='', help='part of a name: plain, TLS, 2+1, small')
    ap.add_argument('--keep', action='store_true', help='keep the files of what failed')
    args = ap.parse_args()
    run = Run(args)
    for version in args.versions.split(','):
        for name, how, todo in shared_clusters(version):
            if args.clusters in name:
                run.shared(version, name, how, todo)
        if args.clusters in ('', 'alone'):
            for row in special.ROWS:
                if run.wants(row) and version in special.VERSIONS.get(row, version):
                    run.alone(version, row)
    print(', '.join(f'{run.counts[k]} {k}' for k in ('passed', 'failed', 'skipped')))
    sys.exit(1 if run.counts['failed'] or not sum(run.counts.values()) else 0)


if __name__ == '__main__':
    main()
