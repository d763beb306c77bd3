#!/usr/bin/env python3
"""Refuses an include that goes up: style.md 3.1, 3.2.

A folder includes only smaller numbers or itself; equal numbers do not see each other, but for the
pairs named in SAME.  Stricter arrows are in ONLY.  Prints what is off; exit 1 if anything is.
"""
import pathlib
import re
import sys

LAYER = {
    'base': 0, 'env': 1, 'wire': 1, 'metrics': 1, 'raft': 1, 'bolt': 2, 'wal': 2, 'snap': 3,
    'tls': 2, 'http': 2, 'os': 2, 'backend': 3, 'grpc': 3, 'schema': 4, 'rpc': 4, 'lease': 5,
    'auth': 5, 'member': 5, 'client': 5, 'mvcc': 6, 'apply': 7, 'core': 8, 'peer': 9, 'service': 9,
    'gateway': 10, 'server': 11, 'cmd': 12,
}
# Folders that may see exactly these.
ONLY = {'raft': {'base'}, 'base': set(), 'metrics': {'base'}, 'wire': {'base'}}
# Who may see os: the programs, and nobody else (the server gets it from cmd or server/).
OS_SEEN_BY = {'server', 'cmd', 'os'}
# Files with a reason of their own.
ALLOW = {('src/client/api.c', 'os')}
INCLUDE = re.compile(r'^\s*#\s*include\s+"([a-z0-9_]+)/')


def main():
    root = pathlib.Path(__file__).resolve().parent.parent
    bad = []
    for path in sorted((root / 'src').rglob('*.[ch]')):
        folder = path.relative_to(root / 'src').parts[0]
        for number, line in enumerate(path.read_text().splitlines(), 1):
            m = INCLUDE.match(line)
            if not m or m.group(1) not in LAYER:
                continue
            seen = m.group(1)
            where = f'{path.relative_to(root)}:{number}'
            if seen == folder or (str(path.relative_to(root)), seen) in ALLOW:
                continue
            if folder in ONLY and seen not in ONLY[folder]:
                bad.append(f'{where}: {folder} may see only {sorted(ONLY[folder])}, not {seen}')
            elif LAYER[seen] >= LAYER[folder]:
                bad.append(f'{where}: {folder} ({LAYER[folder]}) includes {seen} ({LAYER[seen]})')
            elif seen == 'os' and folder not in OS_SEEN_BY:
                bad.append(f'{where}: os is seen by {sorted(OS_SEEN_BY)} only')
    print('\n'.join(bad) if bad else 'layers: ok')
    return 1 if bad else 0


if __name__ == '__main__':
    sys.exit(main())
