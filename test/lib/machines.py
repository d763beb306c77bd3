"""Machines for the operations page: each has its own files (an overlay over this machine's, in memory), processes,
host name and network address, all inside namespaces that end with one process.  So commands run as they are written:
they install into /usr, write to /etc, use 10.0.0.1 to 10.0.0.4, and nothing of it is seen outside.  Needs root.

systemctl is stood in for (systemctl.py); everything else is the real program."""
import concurrent.futures
import os
import shutil
import subprocess
import time

from cairn_test import ROOT, Skip

HANG_S = 300
ADMIN = 'admin'
ADDRESSES = {'m1': '10.0.0.1', 'm2': '10.0.0.2', 'm3': '10.0.0.3', 'm4': '10.0.0.4', ADMIN: '10.0.0.100'}

# Runs as the first process of the new namespaces, and only there.  Nothing of the outside's /dev is bound in: who
# removes a folder with such a mount below it removes the devices.
SETUP = r'''
set -e
for ns in mnt net uts; do
    [ "$(readlink /proc/self/ns/$ns)" != "$(readlink /proc/$OUTSIDE/ns/$ns)" ] || { echo "not in a $ns namespace"; exit 1; }
done
mount -t tmpfs -o size=4g tmpfs "$BASE"
mkdir "$BASE"/{up,work,root,repo-up,repo-work}
mount -t overlay overlay -o "lowerdir=/,upperdir=$BASE/up,workdir=$BASE/work" "$BASE/root"
root=$BASE/root
mkdir -p "$root$REPO"
mount -t overlay overlay -o "lowerdir=$REPO,upperdir=$BASE/repo-up,workdir=$BASE/repo-work" "$root$REPO"
mount -t proc proc "$root/proc"
mount -t tmpfs tmpfs "$root/run"
mount -t tmpfs tmpfs "$root/dev"
for node in null:3 zero:5 full:7 random:8 urandom:9; do
    mknod -m 666 "$root/dev/${node%:*}" c 1 "${node#*:}"
done
ln -s /proc/self/fd "$root/dev/fd"
mount --bind "$SHARED" "$root/srv"
hostname "$NAME"
ip link set lo up
rm -f "$root/usr/bin/systemctl"
install -m 0755 "$REPO/test/lib/systemctl.py" "$root/usr/bin/systemctl"
# A machine on which nobody has installed etcd.
rm -rf "$root"/etc/default/etcd "$root"/var/lib/etcd "$root"/usr/bin/etcd{,ctl,utl} "$root"/usr/lib/systemd/system/etcd.service
chroot "$root" make --version > /dev/null
echo ready
exec 1> /dev/null 2> /dev/null
# Until the test is gone, however it ended; this process is the init that all others end with.
while read -r; do :; done
'''


class Failed(AssertionError):
    pass


class Machine:
    def __init__(self, site, name):
        self.name, self.site = name, site
        self.base = site.t.dir / f'machine-{name}'
        self.base.mkdir()
        env = dict(os.environ, BASE=str(self.base), REPO=str(ROOT), SHARED=str(site.shared), NAME=name,
                   OUTSIDE=str(os.getpid()))
        self.holder = subprocess.Popen(['unshare', '--mount', '--net', '--uts', '--pid', '--fork', '--kill-child',
                                        '--propagation', 'private', 'bash', '-c', SETUP], env=env, text=True,
                                       stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
        site.t.processes.append(self.holder)
        told = ''
        while not told.endswith('ready\n'):
            line = self.holder.stdout.readline()
            if not line:
                raise Skip(f'no machine of its own here: {told.strip()}')
            told += line

    def enter(self, *more):
        """Only after ready: before it the holder may still be outside."""
        ns = f'/proc/{self.holder.pid}/ns'
        return ['nsenter', f'--mount={ns}/mnt', f'--net={ns}/net', f'--uts={ns}/uts', f'--pid={ns}/pid_for_children',
                *more]

    def sh(self, text, ok=True, cwd='/srv'):
        """(stdout, stderr, rc) of these lines of shell, as root; the first that fails ends them."""
        env = {k: v for k, v in os.environ.items() if not k.startswith(('ETCD', 'NOTIFY_'))}
        env.update(HOME='/root', ETCDCTL_API='3', BUILD=self.site.t.build.name)
        command = self.enter('chroot', str(self.base / 'root'), 'bash', '-euo', 'pipefail', '-c',
                             f'cd {cwd}\n{text}')
        r = subprocess.run(command, env=env, capture_output=True, text=True, errors='replace', timeout=HANG_S,
                           stdin=subprocess.DEVNULL)
        if ok and r.returncode != 0:
            raise Failed(f'on {self.name}, rc {r.returncode}:\n{text}\n---- stdout\n{r.stdout}---- stderr\n{r.stderr}')
        return r.stdout, r.stderr, r.returncode

    def kill(self, unit='cairn'):
        """As if the power had gone."""
        self.sh(f'kill -9 $(cat /run/units/{unit}.pid)')

    def log(self, unit='cairn'):
        return self.sh(f'cat /var/log/{unit}.log')[0]


def ip(netns_of, *args):
    r = subprocess.run(netns_of.enter('ip', *args), capture_output=True, text=True)
    if r.returncode != 0:
        raise Skip(f'ip {" ".join(args)}: {r.stderr.strip()}')


class Site:
    """The machines of one test, wired to one bridge."""

    def __init__(self, t, names=('m1', 'm2', 'm3')):
        if os.getuid() != 0 or not all(shutil.which(p) for p in ('unshare', 'nsenter', 'ip', 'openssl', 'make')):
            raise Skip('machines of their own need root, util-linux, iproute2, openssl and make')
        self.t = t
        self.shared = t.dir / 'shared'
        self.shared.mkdir()
        self.machines = {}
        for name in (ADMIN, *names):
            self.add(name)

    def __getitem__(self, name):
        return self.machines[name]

    def add(self, name):
        self.machines[name] = Machine(self, name)
        self.wire(self.machines[name])

    def wire(self, m):
        admin = self.machines[ADMIN]
        if m is admin:
            ip(admin, 'link', 'add', 'br0', 'type', 'bridge')
            ip(admin, 'addr', 'add', ADDRESSES[ADMIN] + '/24', 'dev', 'br0')
            ip(admin, 'link', 'set', 'br0', 'up')
            return
        wire = f'to-{m.name}'
        # The peer goes by pid, and the pid has to be one that the process of ip sees.
        r = subprocess.run(['nsenter', f'--net=/proc/{admin.holder.pid}/ns/net', 'ip', 'link', 'add', wire, 'type', 'veth',
                            'peer', 'name', 'eth0', 'netns', str(m.holder.pid)], capture_output=True, text=True)
        if r.returncode != 0:
            raise Skip(f'no virtual wires here: {r.stderr.strip()}')
        ip(admin, 'link', 'set', wire, 'master', 'br0', 'up')
        ip(m, 'addr', 'add', ADDRESSES[m.name] + '/24', 'dev', 'eth0')
        ip(m, 'link', 'set', 'eth0', 'up')

    def everywhere(self, fn, names):
        """fn(machine) on these at the same time; the first failure is raised."""
        with concurrent.futures.ThreadPoolExecutor(len(names)) as pool:
            return [f.result() for f in [pool.submit(fn, self.machines[n]) for n in names]]
