#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Python's etcd3 (python/checks.py) against Cairn and etcd, results compared; with the services Lock and Election
by plain gRPC."""
import pathlib
import subprocess
import sys

HERE = pathlib.Path(__file__).resolve().parent
LIB = HERE.parent / 'lib'
sys.path.insert(0, str(LIB))
sys.path.insert(0, str(HERE))
import twin_checks  # noqa: E402
from cairn_test import Skip  # noqa: E402

INSTALL_S = 300


def run(cmd):
    r = subprocess.run(cmd, capture_output=True, text=True, timeout=INSTALL_S)
    if r.returncode != 0:
        raise Skip(f'{" ".join(cmd[1:4])}: {(r.stderr + r.stdout).strip()[-300:]}')


def command(t):
    """A virtual environment in build/interop/python, made once."""
    folder = t.build / 'interop' / 'python'
    python = folder / 'bin' / 'python'
    if not (folder / 'ready').exists():
        run([sys.executable, '-m', 'venv', str(folder)])
        run([str(python), '-m', 'pip', 'install', '-q', '-r', str(HERE / 'python' / 'requirements.txt')])
        (folder / 'ready').touch()
    return [str(python), str(HERE / 'python' / 'checks.py'), str(LIB)]


if __name__ == '__main__':
    twin_checks.main(command)
