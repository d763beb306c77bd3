#!/usr/bin/env python3
"""One stream of watch, lease and KV requests to real etcd and to Cairn; equal answers, and for every watch equal
events, which are also those that the history says.  As diff_fuzz_test.py otherwise, with restarts (orderly and
kill -9) in the middle; the generator is test/interop/diff with -story watch.

DIFF_WATCH_REQUESTS  generated requests for each version (34000: over 100,000 together)
DIFF_SEED            seed of the first version (1)
"""
import os
import pathlib
import sys

HERE = pathlib.Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent / 'lib'))
sys.path.insert(0, str(HERE))
import reference  # noqa: E402
from cairn_test import Skip, main  # noqa: E402
from diff_fuzz_test import CHECKED_REQUESTS, SEED, Pair, generator, run_generator  # noqa: E402

REQUESTS = int(os.environ.get('DIFF_WATCH_REQUESTS', '34000'))
# With this a response is cut into fragments at 65536 + 524288 bytes.
REQUEST_BYTES = 65536


class WatchPair(Pair):
    def server(self, binary, prefix):
        s = super().server(binary, prefix)
        s.args += ['--max-request-bytes', str(REQUEST_BYTES)]
        return s


def fuzz(t, version, seed):
    try:
        etcd, binary = reference.programs(t.build, version)['etcd'], generator(t)
    except reference.Missing as e:
        raise Skip(str(e))
    pair = WatchPair(t, etcd, version)
    pair.fresh()
    status, text = run_generator(t, binary, pair, [
        '-story', 'watch', '-level', version, '-seed', str(seed), '-requests', str(REQUESTS),
        f'-check={"true" if REQUESTS >= CHECKED_REQUESTS else "false"}'])
    print(text)
    assert status == 0, f'seed {seed}, level {version}: {pair.ours.log()[-2000:] if status > 1 else "see above"}'


def test_watch_3_5(t):
    fuzz(t, '3.5', SEED)


def test_watch_3_6(t):
    fuzz(t, '3.6', SEED + 1)


def test_watch_3_7(t):
    fuzz(t, '3.7', SEED + 2)


if __name__ == '__main__':
    main(globals())
