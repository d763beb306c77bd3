#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Java's jetcd (java/src/main/java/Checks.java) against Cairn and etcd, results compared."""
import pathlib
import shutil
import subprocess
import sys

HERE = pathlib.Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent / 'lib'))
sys.path.insert(0, str(HERE))
import twin_checks  # noqa: E402
from cairn_test import Skip  # noqa: E402

INSTALL_S = 900


def run(cmd, folder):
    r = subprocess.run(cmd, cwd=folder, capture_output=True, text=True, timeout=INSTALL_S)
    if r.returncode != 0:
        raise Skip(f'{cmd[0]}: {(r.stdout + r.stderr).strip()[-300:]}')


def command(t):
    """Libraries by Maven into build/interop/java/lib, once; the program by javac."""
    for program in ('mvn', 'javac', 'java'):
        if shutil.which(program) is None:
            raise Skip(f'{program} is not installed')
    folder = t.build / 'interop' / 'java'
    folder.mkdir(parents=True, exist_ok=True)
    shutil.copy(HERE / 'java' / 'pom.xml', folder)
    if not (folder / 'ready').exists():
        run(['mvn', '-q', '-B', 'dependency:copy-dependencies', '-DoutputDirectory=lib'], folder)
        (folder / 'ready').touch()
    source = HERE / 'java' / 'src' / 'main' / 'java' / 'Checks.java'
    run(['javac', '-d', 'classes', '-cp', 'lib/*', str(source)], folder)
    return ['java', '-cp', f'{folder}/classes:{folder}/lib/*', 'Checks']


if __name__ == '__main__':
    twin_checks.main(command)
