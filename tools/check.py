#!/usr/bin/env python3
"""make check: formatting, layers, function and file length, READMEs, clang-tidy.

usage: tools/check.py --build build [--fast]     (--fast leaves clang-tidy out)
"""
import argparse
import pathlib
import re
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor

ROOT = pathlib.Path(__file__).resolve().parent.parent
FUNCTION_LINES_MAX = 70
# Flat dispatch tables, named with a reason in their own comment: file -> function.
LONG_ALLOWED = set()
FILE_LINES_MAX = 1000


def sources(*folders):
    out = subprocess.run(['git', 'ls-files', *[f'{f}/*.[ch]' for f in folders],
                          *[f'{f}/**/*.[ch]' for f in folders]],
                         cwd=ROOT, capture_output=True, text=True, check=True).stdout.split()
    return sorted({p for p in out if (ROOT / p).exists()})


def check_format(files):
    bad = []
    for i in range(0, len(files), 100):
        r = subprocess.run(['clang-format', '--dry-run', *files[i:i + 100]], cwd=ROOT,
                           capture_output=True, text=True)
        bad += sorted({line.split(':')[0] for line in r.stderr.splitlines()
                       if 'clang-format-violations' in line})
    return [f'{b}: not formatted (make format)' for b in bad]


def functions(path):
    """(name, first line, number of lines) of every function: signature to closing brace at column 0."""
    lines = (ROOT / path).read_text().splitlines()
    start = None
    for n, line in enumerate(lines):
        if start is None and line == '{':
            first = n - 1
            while first > 0 and lines[first - 1] and not lines[first - 1].startswith(('#', '}', '/', ' *')) \
                    and not lines[first - 1].endswith((';', '*/')):
                first -= 1
            name = re.search(r'(\w+)\s*\(', ' '.join(lines[first:n]))
            start = (name.group(1) if name else '?', first)
        elif start is not None and line.startswith('}'):
            yield start[0], start[1] + 1, n - start[1] + 1
            start = None


def check_lengths(files):
    bad, sizes = [], []
    for path in files:
        count = len((ROOT / path).read_text().splitlines())
        if count > FILE_LINES_MAX:
            bad.append(f'{path}: {count} lines, more than {FILE_LINES_MAX}: split by noun')
        if not path.endswith('.c'):
            continue
        for name, line, length in functions(path):
            if path.startswith(('src/', 'sim/')):
                sizes.append(length)
            if length > FUNCTION_LINES_MAX and (path, name) not in LONG_ALLOWED:
                bad.append(f'{path}:{line}: {name} has {length} lines (at most {FUNCTION_LINES_MAX})')
    sizes.sort()
    if sizes:
        print(f'functions: {len(sizes)}, median {sizes[len(sizes) // 2]}, '
              f'p90 {sizes[len(sizes) * 9 // 10]}, longest {sizes[-1]}')
    return bad


def check_readmes():
    return [f'{d.relative_to(ROOT)}: no README.md' for d in sorted((ROOT / 'src').iterdir())
            if d.is_dir() and any(d.iterdir()) and not (d / 'README.md').exists()]


def check_headers(files):
    return [f'{p}: first line has no SPDX' for p in files
            if 'SPDX-License-Identifier' not in (ROOT / p).open().readline()]


def tidy(build, files):
    def one(path):
        r = subprocess.run(['clang-tidy', '--quiet', '-p', build, path], cwd=ROOT,
                           capture_output=True, text=True)
        return [line for line in r.stdout.splitlines() if 'warning:' in line or 'error:' in line]

    with ThreadPoolExecutor(2) as pool:
        return sorted({line for lines in pool.map(one, files) for line in lines})


def main():
    ap = argparse.ArgumentParser()
    ap.add_argument('--build', default='build')
    ap.add_argument('--fast', action='store_true')
    args = ap.parse_args()
    files = sources('src', 'sim', 'test', 'include')
    bad = check_format(files) + check_lengths(files) + check_readmes()
    bad += check_headers([f for f in files if f.startswith(('src', 'sim'))])
    if subprocess.run([sys.executable, 'tools/layers.py'], cwd=ROOT).returncode != 0:
        bad.append('layers: see above')
    if not args.fast:
        bad += tidy(args.build, [f for f in files if f.endswith('.c') and f.startswith(('src', 'sim'))])
    print('\n'.join(bad))
    print(f'check: {len(bad)} problems in {len(files)} files')
    return 1 if bad else 0


if __name__ == '__main__':
    sys.exit(main())
