#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""npm's etcd3 (npm/checks.js) against Cairn and etcd, results compared."""
import pathlib
import shutil
import subprocess
import sys

HERE = pathlib.Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent / 'lib'))
sys.path.insert(0, str(HERE))
import twin_checks  # noqa: E402
from cairn_test import Skip  # noqa: E402

INSTALL_S = 300


def command(t):
    """Installs the packages into build/interop/npm, once."""
    for program in ('node', 'npm'):
        if shutil.which(program) is None:
            raise Skip(f'{program} is not installed')
    folder = t.build / 'interop' / 'npm'
    folder.mkdir(parents=True, exist_ok=True)
    for f in (HERE / 'npm').iterdir():
        shutil.copy(f, folder)
    if not (folder / 'node_modules' / 'etcd3').exists():
        r = subprocess.run(['npm', 'install', '--no-package-lock', '--ignore-scripts'], cwd=folder,
                           capture_output=True, text=True, timeout=INSTALL_S)
        if r.returncode != 0:
            raise Skip(f'npm install: {r.stderr.strip()[-300:]}')
    return ['node', str(folder / 'checks.js')]


if __name__ == '__main__':
    twin_checks.main(command)
