# SPDX-License-Identifier: Apache-2.0
"""One program of checks on twin servers (twins.py), its lines compared; every line is counted.

The program prints `NAME: WHAT IT SAW` a line and says nothing that may differ between the two.
"""
import argparse
import sys
import time

import reference
from cairn_test import ROOT, Skip, Test
from twins import etcd_programs, two_servers

# Fewer lines mean that the program did not do its work.
CHECKS_MIN = 30


def run_on(t, command, server):
    return t.run([*command, server.endpoint])[0].splitlines()


def compare(version, ours, theirs):
    """(equal, different); prints the lines that differ."""
    equal = different = 0
    for number in range(max(len(ours), len(theirs))):
        pair = [lines[number] if number < len(lines) else '(no line)' for lines in (ours, theirs)]
        if pair[0] == pair[1]:
            equal += 1
            continue
        different += 1
        print(f'DIFF etcd {version}\n  ours   {pair[0][:2000]}\n  theirs {pair[1][:2000]}')
    if equal + different < CHECKS_MIN:
        print(f'DIFF etcd {version}: only {equal + different} checks')
        different += 1
    return equal, different


def main(make_command):
    """make_command(t) is the program as a list; the endpoint comes behind it.  It may raise Skip."""
    ap = argparse.ArgumentParser()
    ap.add_argument('--build', default='build')
    ap.add_argument('--versions', default=','.join(reference.VERSIONS))
    args = ap.parse_args()
    passed = failed = skipped = 0
    for version in args.versions.split(','):
        t, start = Test((ROOT / args.build).resolve(), f'twins-{version}'), time.monotonic()
        try:
            command = make_command(t)
            servers = two_servers(t, etcd_programs(t, version)['etcd'], t.bin('cairn'))
            lines = [run_on(t, command, s) for s in servers]
            equal, different = compare(version, *lines)
            print(f'Cairn | etcd {version}: {equal} checks equal, {different} different '
                  f'({time.monotonic() - start:.0f} s)', flush=True)
            passed, failed = passed + equal, failed + different
        except Skip as e:
            skipped += 1
            print(f'skipped etcd {version}: {e}')
        except AssertionError as e:
            failed += 1
            print(f'FAILED etcd {version}: {e}')
        finally:
            t.close(False)
    print(f'{passed} passed, {failed} failed, {skipped} skipped')
    sys.exit(1 if failed else 0)
