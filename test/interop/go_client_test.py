#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""The official Go client (client/checks.go) against Cairn and etcd, results compared: puts, ranges with
every option, revisions, transactions, errors, large values, many clients at once, maintenance."""
import pathlib
import sys

HERE = pathlib.Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent / 'lib'))
sys.path.insert(0, str(HERE))
import reference  # noqa: E402
import twin_checks  # noqa: E402
from cairn_test import Skip  # noqa: E402


def command(t):
    try:
        return [str(reference.client(t.build)), 'checks']
    except reference.Missing as e:
        raise Skip(str(e))


if __name__ == '__main__':
    twin_checks.main(command)
