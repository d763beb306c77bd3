#!/usr/bin/env python3
"""Runs what `make test` promises and ends with `N passed, N failed, N skipped`.

Parts: unit and crash tests and the simulator (meson), end to end (test/e2e/*.py), the asan subset, a smoke of every
fuzz target, the interop smoke that Debian's packages allow.  A part that cannot run here is counted as
skipped and says why.  usage: tools/run_tests.py --build build [--only unit,crash,e2e,asan,fuzz,interop]
"""
import argparse
import concurrent.futures
import json
import os
import pathlib
import re
import shutil
import subprocess
import sys
import time

ROOT = pathlib.Path(__file__).resolve().parent.parent
PARTS = ['unit', 'crash', 'sim', 'e2e', 'asan', 'fuzz', 'interop']
# Hang limits, generous: nothing here measures speed.
HANG_S = {'unit': 900, 'sim': 1800, 'e2e': 900, 'asan': 1200, 'fuzz': 600, 'interop': 900}
E2E_AT_A_TIME = 4
TSAN_SLOWER = 10  # than a plain build, as limits go


class Count:
    def __init__(self):
        self.passed = self.failed = self.skipped = 0
        self.notes = []

    def add(self, passed, failed, skipped=0):
        self.passed += passed
        self.failed += failed
        self.skipped += skipped

    def fail(self, text):
        self.failed += 1
        self.notes.append('FAILED ' + text)

    def skip(self, text):
        self.skipped += 1
        self.notes.append('skipped ' + text)


def run(cmd, timeout, **kw):
    try:
        r = subprocess.run(cmd, cwd=ROOT, timeout=timeout, stdout=subprocess.PIPE,
                           stderr=subprocess.STDOUT, text=True, errors='replace', **kw)
        return r.returncode, r.stdout
    except subprocess.TimeoutExpired as e:
        return -1, (e.stdout.decode(errors='replace') if e.stdout else '') + f'\nhung for {timeout} s'


def count_one(count, name, ok, text):
    """Test functions of a cmocka program, or one for a program that does not say."""
    passed = sum(int(n) for n in re.findall(r'\[  PASSED  \] (\d+) test', text))
    failed = sum(int(n) for n in re.findall(r'\[  FAILED  \] [^\n]*?(\d+) test', text))
    skipped = sum(int(n) for n in re.findall(r'\[  SKIPPED \] [^\n]*?(\d+) test', text))
    m = re.search(r'^(\d+) passed, (\d+) failed(?:, (\d+) skipped)?\s*$', text, re.M)
    if m:
        passed, failed, skipped = int(m.group(1)), int(m.group(2)), int(m.group(3) or 0)
    if passed + failed + skipped == 0:
        passed = 1 if ok else 0
    if not ok and failed == 0:
        failed = 1
    count.add(passed, failed, skipped)
    if not ok:
        tail = '\n'.join(text.splitlines()[-60:])
        count.notes.append(f'FAILED {name}\n{tail}')


def meson_part(count, build, suites):
    log = ROOT / build / 'meson-logs' / 'testlog.json'
    if log.exists():
        log.unlink()
    cmd = ['meson', 'test', '-C', build, '--no-rebuild', '--num-processes', str(os.cpu_count() or 2)]
    slower = TSAN_SLOWER if 'tsan' in build else 1
    cmd += ['--timeout-multiplier', str(slower)]
    for s in suites:
        cmd += ['--suite', s]
    code, text = run(cmd, HANG_S.get(suites[0], HANG_S['unit']) * slower)
    if not log.exists():
        count.fail(f'meson test ({build}): {text[-2000:]}')
        return
    for line in log.read_text().splitlines():
        t = json.loads(line)
        out = t.get('stdout', '') + '\n' + t.get('stderr', '')
        if t['result'] == 'SKIP':
            count.skip(f'{t["name"]}: {out.strip().splitlines()[-1] if out.strip() else ""}')
        else:
            count_one(count, t['name'], t['result'] in ('OK', 'EXPECTEDFAIL'), out)


def e2e_part(count, build):
    """Several scripts at a time: most of what they do is to wait.  Told in order of name."""
    scripts = [[s] for s in sorted((ROOT / 'test' / 'e2e').glob('*_test.py'))]
    # Again, with connections on threads of their own.
    scripts.append([ROOT / 'test' / 'e2e' / 'member_test.py', '--net-threads', '2'])

    def one(script):
        return run([sys.executable, *map(str, script), '--build', build], HANG_S['e2e'])

    with concurrent.futures.ThreadPoolExecutor(E2E_AT_A_TIME) as pool:
        for script, (code, text) in zip(scripts, pool.map(one, scripts)):
            name = ' '.join([script[0].name, *script[1:]])
            if code == 77:
                count.skip(f'{name}: {text.strip().splitlines()[-1]}')
            else:
                count_one(count, name, code == 0, text)


def asan_part(count):
    code, text = 0, ''
    if not (ROOT / 'build-asan' / 'build.ninja').exists():
        code, text = run(['meson', 'setup', 'build-asan', '-Db_sanitize=address,undefined',
                          '-Db_lundef=false'], HANG_S['asan'])
    if code == 0:
        code, text = run(['ninja', '-C', 'build-asan'], HANG_S['asan'])
    if code != 0:
        count.fail('asan build\n' + text[-3000:])
        return
    meson_part(count, 'build-asan', ['unit'])


def fuzz_part(count):
    if not shutil.which('clang'):
        count.skip('fuzz smokes: no clang (make fuzz installs it)')
        return
    code, text = run(['tools/fuzz.sh', '', '5'], HANG_S['fuzz'])
    if code == 77:
        count.skip('fuzz smokes: ' + text.strip().splitlines()[-1])
    else:
        count_one(count, 'fuzz', code == 0, text)


def interop_part(count, build):
    """What Debian's own packages of etcd allow; `make interop` does the rest."""
    folder = ROOT / 'test' / 'interop'
    for script, args in [('smoke.py', []), ('side_by_side_test.py', ['--quick', '--quiet'])]:
        code, text = run([sys.executable, str(folder / script), '--build', build, *args],
                         HANG_S['interop'])
        if code == 77:
            count.skip(f'{script}: ' + text.strip().splitlines()[-1])
        else:
            count_one(count, script, code == 0, text)
            count.notes += [f'{script}: {line.strip()}' for line in text.splitlines()
                            if line.lstrip().startswith('skipped ')]


def main():
    ap = argparse.ArgumentParser()
    ap.add_argument('--build', default='build')
    ap.add_argument('--only', default=','.join(PARTS))
    args = ap.parse_args()
    only = args.only.split(',')
    count = Count()
    for part in PARTS:
        if part not in only:
            continue
        start, before = time.monotonic(), (count.passed, count.failed, count.skipped)
        if part in ('unit', 'crash', 'sim'):
            meson_part(count, args.build, [part])
        elif part == 'e2e':
            e2e_part(count, args.build)
        elif part == 'asan':
            asan_part(count)
        elif part == 'fuzz':
            fuzz_part(count)
        elif part == 'interop':
            interop_part(count, args.build)
        now = (count.passed, count.failed, count.skipped)
        print(f'{part}: {now[0] - before[0]} passed, {now[1] - before[1]} failed, '
              f'{now[2] - before[2]} skipped ({time.monotonic() - start:.0f} s)', flush=True)
    for n in count.notes:
        print(n)
    print(f'{count.passed} passed, {count.failed} failed, {count.skipped} skipped')
    return 1 if count.failed or count.passed == 0 else 0


if __name__ == '__main__':
    sys.exit(main())
