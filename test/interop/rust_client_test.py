#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Rust's etcd-client (rust/src/main.rs) against Cairn and etcd, results compared."""
import pathlib
import shutil
import subprocess
import sys

HERE = pathlib.Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent / 'lib'))
sys.path.insert(0, str(HERE))
import twin_checks  # noqa: E402
from cairn_test import Skip  # noqa: E402

BUILD_S = 1200


def command(t):
    """Built into build/interop/rust; cargo sees by itself what is there."""
    if shutil.which('cargo') is None:
        raise Skip('cargo is not installed')
    folder = t.build / 'interop' / 'rust'
    (folder / 'src').mkdir(parents=True, exist_ok=True)
    shutil.copy(HERE / 'rust' / 'Cargo.toml', folder)
    shutil.copy2(HERE / 'rust' / 'src' / 'main.rs', folder / 'src')
    r = subprocess.run(['cargo', 'build', '-q'], cwd=folder, capture_output=True, text=True, timeout=BUILD_S)
    if r.returncode != 0:
        raise Skip(f'cargo build: {r.stderr.strip()[-300:]}')
    return [str(folder / 'target' / 'debug' / 'cairn-interop-rust')]


if __name__ == '__main__':
    twin_checks.main(command)
