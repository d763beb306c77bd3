#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Every command of commands.txt on two sides, answers compared (side_by_side.py says how).

Pairs:  etcdctl-X    etcdctl X against Cairn at level X and etcd X, X = 3.5, 3.6, 3.7
        etcdctl-3.4  Debian's etcdctl against Cairn at level 3.7 and etcd 3.7
        debian       Debian's etcdctl against Cairn at level 3.5 and Debian's etcd 3.4, one directory
        cairnctl-X   cairnctl against Cairn at level X and etcd X; cairnctl-3.4: and Debian's etcd
        tools        cairnctl and etcdctl 3.7, each against an etcd 3.7

Both servers of a pair start on copies of one directory that the real etcd made, so ids, term and
revisions are equal, and Cairn serves the level that it finds.  Counted are rows; a hang is a failure.
usage: side_by_side_test.py [--build build] [--pairs NAME,... | --quick] [--rows TEXT] [--quiet]
"""
import argparse
import collections
import pathlib
import sys
import time

HERE = pathlib.Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent / 'lib'))
sys.path.insert(0, str(HERE))
import side_by_side  # noqa: E402
from twins import etcd_programs, two_servers  # noqa: E402
from cairn_test import ROOT, Skip, Test  # noqa: E402

PAIRS = ['etcdctl-3.5', 'etcdctl-3.6', 'etcdctl-3.7', 'etcdctl-3.4', 'debian', 'cairnctl-3.4',
         'cairnctl-3.5', 'cairnctl-3.6', 'cairnctl-3.7', 'tools']
# What Debian's packages allow: `make test`.
CI_PAIRS = ['debian', 'cairnctl-3.4']


class Tally:
    def __init__(self):
        self.equal = self.errors = self.failed = 0
        self.skipped = collections.Counter()


def our_tools(t):
    return {'etcdctl': t.bin('etcdctl'), 'etcdutl': t.bin('etcdutl')}


def set_up(t, pair):
    """(sides: ours, theirs; what is compared; whether both run the same tool)."""
    tool, _, version = pair.partition('-')
    env = {}
    if pair == 'tools':
        theirs = etcd_programs(t, '3.7')
        servers = two_servers(t, theirs['etcd'], theirs['etcd'])
        programs = [our_tools(t), theirs]
        what = 'cairnctl | etcdctl 3.7, both on etcd 3.7'
    elif pair in ('debian', 'etcdctl-3.4'):
        etcdctl = etcd_programs(t, '3.4')['etcdctl']
        server = '3.4' if pair == 'debian' else '3.7'
        servers = two_servers(t, etcd_programs(t, server)['etcd'], t.bin('cairn'))
        programs = [{'etcdctl': etcdctl}] * 2
        env = {'ETCDCTL_API': '3'}
        what = f'etcdctl 3.4 on Cairn | on etcd {server}'
    else:
        theirs = etcd_programs(t, version)
        servers = two_servers(t, theirs['etcd'], t.bin('cairn'))
        programs = [our_tools(t) if tool == 'cairnctl' else theirs] * 2
        name = tool if tool == 'cairnctl' else f'etcdctl {version}'
        what = f'{name} on Cairn | on etcd {version}'
    sides = []
    for number, (p, s) in enumerate(zip(programs, servers)):
        folder = t.dir / f'side{number}'
        folder.mkdir()
        sides.append(side_by_side.Side(p, s, folder, env.items()))
    return sides, what, pair != 'tools'


def reason_to_skip(row, sides, pair, quick):
    if quick and '&' in row.marks:
        return 'takes long: only in make interop'
    if quick and row.interrupt_s:
        return 'stays until it is ended: only in make interop'
    if row.program not in sides[1].programs:
        return f'no {row.program} of that version'
    has_our_tool = pair == 'tools' or pair.startswith('cairnctl')
    for need in filter(None, row.needs.split(', ')):
        if has_our_tool if need.startswith('cairnctl ') else pair != 'tools':
            return f'needs {need}'
    return ''


def compare(row, sides, pair, same_tool, tally, quiet):
    views, rc = side_by_side.run_row(sides, row, same_tool)
    if views[0] == views[1] and 'HANGS' not in views[0]:
        tally.equal += 1
        tally.errors += rc != 0
        if not quiet:
            print(f'equal {pair} line {row.number}: {row.line[:120]}')
        return
    why = row.may_differ(pair)
    if why:
        tally.skipped[f'allowed difference: {why}'] += 1
        return
    tally.failed += 1
    print(f'DIFF {pair} line {row.number}: {row.line}\n--- ours\n{views[0]}--- theirs\n{views[1]}',
          end='', flush=True)


def run_pair(t, pair, rows, only, quiet, quick):
    sides, what, same_tool = set_up(t, pair)
    tally = Tally()
    for row in rows:
        if isinstance(row, float):
            time.sleep(row)
            continue
        if same_tool and not row.about_server():
            continue
        if only and only not in row.line and not row.keep:
            continue
        reason = reason_to_skip(row, sides, pair, quick)
        if reason:
            tally.skipped[reason] += 1
            continue
        compare(row, sides, pair, same_tool, tally, quiet)
    return what, tally


def main():
    ap = argparse.ArgumentParser()
    ap.add_argument('--build', default='build')
    ap.add_argument('--pairs', default=','.join(PAIRS))
    ap.add_argument('--quick', action='store_true', help='what Debian packages allow, without slow rows')
    ap.add_argument('--rows', default='', help='only rows that contain this text')
    ap.add_argument('--quiet', action='store_true', help='print no equal rows')
    ap.add_argument('--keep', action='store_true', help='keep the files')
    args = ap.parse_args()
    rows = side_by_side.read_list()
    pairs = CI_PAIRS if args.quick else args.pairs.split(',')
    summary, total = [], Tally()
    for pair in pairs:
        t, start = Test((ROOT / args.build).resolve(), f'sbs-{pair}'), time.monotonic()
        try:
            what, tally = run_pair(t, pair, rows, args.rows, args.quiet, args.quick)
        except Skip as e:
            total.skipped[pair] += 1
            summary.append(f'skipped {pair}: {e}')
            continue
        finally:
            t.close(args.keep)
        summary.append(f'{what}: {tally.equal} equal ({tally.errors} of them errors), {tally.failed} '
                       f'different, {sum(tally.skipped.values())} skipped '
                       f'({time.monotonic() - start:.0f} s)')
        summary += [f'    skipped {n}: {why}' for why, n in sorted(tally.skipped.items())]
        total.equal += tally.equal
        total.failed += tally.failed
        total.skipped[pair] += sum(tally.skipped.values())
    print('\n'.join(summary))
    print(f'{total.equal} passed, {total.failed} failed, {sum(total.skipped.values())} skipped')
    return 1 if total.failed else 0


if __name__ == '__main__':
    sys.exit(main())
