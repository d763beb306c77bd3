#!/usr/bin/env python3
"""kill -9 under load, KILL_ROUNDS times (20): after each start every acknowledged put is there, and
nothing that was never sent."""
import os
import pathlib
import subprocess
import sys
import time

HERE = pathlib.Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent / 'lib'))
sys.path.insert(0, str(HERE))
import reference  # noqa: E402
from cairn_test import Skip, main  # noqa: E402

ROUNDS = int(os.environ.get('KILL_ROUNDS', '20'))


def test_kill_9(t):
    try:
        client = reference.client(t.build)
    except reference.Missing as e:
        raise Skip(str(e))
    s = t.server(args=['--snapshot-count', '3000']).start()
    last = ''
    for number in range(ROUNDS):
        load = subprocess.Popen([str(client), '-endpoints', s.endpoint, '-state', str(t.dir / 'state'),
                                 '-clients', '40', 'torture'],
                                stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
        t.processes.append(load)
        # Nothing depends on this length: it only spreads the moments of the kills.
        time.sleep(0.2 + (number * 37 % 100) / 200)
        s.kill()
        out = load.communicate(timeout=60)[0]
        assert load.returncode == 0, f'round {number}: {out[-2000:]}'
        last = out.strip().splitlines()[-1]
        s.start()
    print(f'{ROUNDS} kills, {last}')


if __name__ == '__main__':
    main(globals())
