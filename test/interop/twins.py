# SPDX-License-Identifier: Apache-2.0
"""Two servers on copies of one directory that a real etcd made: ids, term and revisions are equal, and
Cairn serves the level that it finds."""
import shutil
import time

import reference
from cairn_test import Skip


def etcd_programs(t, version):
    if version == '3.4':
        return {'etcd': t.bin('debian-etcd'), 'etcdctl': t.bin('debian-etcdctl')}
    try:
        return reference.programs(t.build, version)
    except reference.Missing as e:
        raise Skip(str(e))


def two_servers(t, etcd, second, *args):
    """(one of the program `second`, one etcd), each on its copy of a directory that etcd made; args: of
    both."""
    first = t.server(binary=etcd, name='origin').start()
    first.ctl('member', 'list')
    time.sleep(0.5)  # the cluster's version is decided a moment after the first answer
    first.stop()
    servers = []
    for name, binary in (('second', second), ('etcd', etcd)):
        copy = t.dir / f'{name}.etcd'
        shutil.copytree(first.data_dir, copy)
        s = t.server(binary=binary, data_dir=copy, name='origin', args=args)
        s.log_path = t.dir / f'{name}.log'
        servers.append(s.start())
    return servers
