"""Networks of their own for the members of a cluster: a namespace a member, two bridges (peers, clients), so
that a member can be cut off from its peers, from its clients or from both while its process knows nothing.
Needs root and iproute2."""
import os
import shutil
import subprocess

from cairn_test import Skip


def ip(*args, ok=True):
    r = subprocess.run(['ip', *args], capture_output=True, text=True)
    assert not ok or r.returncode == 0, f'ip {" ".join(args)}: {r.stderr}'
    return r


def ident():
    return os.getpid() % 32768


def host(side, number):
    return f'10.{213 if side == "p" else 214}.{ident() % 250}.{number}'


def names(size=3):
    """The members' addresses, for their certificates."""
    return ','.join(f'IP:{host(side, i + 1)}' for side in 'pc' for i in range(size))


class Network:
    """with Network(cluster): ...; before the members start."""

    def __init__(self, cluster):
        if os.getuid() != 0 or shutil.which('ip') is None:
            raise Skip('network namespaces need root and iproute2')
        self.cluster = cluster
        self.id = ident()
        self.bridges = {side: f'cb{side}{self.id}' for side in 'pc'}

    def name(self, m):
        return f'cairn-{self.id}-{m.name}'

    def wire(self, m, side):
        return f'cv{side}{self.id}{m.name[1:]}'

    def __enter__(self):
        if ip('netns', 'add', f'cairn-{self.id}-try', ok=False).returncode != 0:
            raise Skip('this kernel or container gives no network namespaces')
        ip('netns', 'del', f'cairn-{self.id}-try')
        try:
            self.make()
        except Exception:
            self.remove()
            raise
        return self

    def make(self):
        for side, bridge in self.bridges.items():
            if ip('link', 'add', bridge, 'type', 'bridge', ok=False).returncode != 0:
                raise Skip('this kernel or container gives no bridges')
            ip('addr', 'add', host(side, 254) + '/24', 'dev', bridge)
            ip('link', 'set', bridge, 'up')
        for number, m in enumerate(self.cluster.members, 1):
            ns = self.name(m)
            ip('netns', 'add', ns)
            ip('-n', ns, 'link', 'set', 'lo', 'up')
            for side, bridge in self.bridges.items():
                ip('link', 'add', self.wire(m, side), 'type', 'veth', 'peer', 'name', 'e' + side, 'netns', ns)
                ip('link', 'set', self.wire(m, side), 'master', bridge, 'up')
                ip('-n', ns, 'addr', 'add', host(side, number) + '/24', 'dev', 'e' + side)
                ip('-n', ns, 'link', 'set', 'e' + side, 'up')
            m.prefix = ['ip', 'netns', 'exec', ns]
            m.peer_host, m.client_host = host('p', number), host('c', number)

    def cut(self, m, sides='pc'):
        for side in sides:
            ip('link', 'set', self.wire(m, side), 'down')

    def mend(self, m, sides='pc'):
        for side in sides:
            ip('link', 'set', self.wire(m, side), 'up')

    def part(self, a, b):
        """These two no longer hear each other; others hear both."""
        for m, other in ((a, b), (b, a)):
            ip('-n', self.name(m), 'route', 'add', 'blackhole', other.peer_host + '/32')

    def unite(self, a, b):
        for m, other in ((a, b), (b, a)):
            ip('-n', self.name(m), 'route', 'del', 'blackhole', other.peer_host + '/32')

    def remove(self):
        for m in self.cluster.members:
            for side in self.bridges:
                ip('link', 'del', self.wire(m, side), ok=False)
            ip('netns', 'del', self.name(m), ok=False)
        for bridge in self.bridges.values():
            ip('link', 'del', bridge, ok=False)

    def __exit__(self, *_):
        for m in self.cluster.members:
            if m.is_running():
                m.kill()
        self.remove()


def network_of(c, stack):
    """Of a cluster, until the stack is left; None where it cannot be made."""
    try:
        return stack.enter_context(Network(c))
    except Skip as e:
        print(f'without cuts: {e}')
        return None
