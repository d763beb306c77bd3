#!/usr/bin/env python3
"""Stands in for systemctl on the machines of test/lib/machines.py, where no systemd runs: reads the installed unit
with its drop-ins and does what the operations page needs: enable, disable (with --now), start, stop, restart,
daemon-reload.  A start of Type=notify returns when the service says READY=1, as the real one's does."""
import grp
import os
import pathlib
import pwd
import re
import shlex
import signal
import socket
import subprocess
import sys
import time

PATHS = ['/etc/systemd/system', '/run/systemd/system', '/usr/local/lib/systemd/system', '/usr/lib/systemd/system']
STATE = pathlib.Path('/run/units')
HANG_S = 120


class Failed(Exception):
    pass


def unit_file(name):
    for p in PATHS:
        path = pathlib.Path(p) / f'{name}.service'
        if path.exists():
            return path.resolve()
    raise Failed(f'Unit {name}.service not found.')


def settings(path):
    """{key: [values]} of [Service] and [Install], drop-ins last."""
    files = [path]
    for p in PATHS:
        files += sorted(pathlib.Path(p, path.name + '.d').glob('*.conf'))
    out = {}
    host = socket.gethostname()
    for f in files:
        for line in f.read_text().splitlines():
            key, eq, value = line.partition('=')
            if eq and not line.startswith('#'):
                for short, text in (('%l', host), ('%H', host), ('%p', path.stem)):
                    value = value.replace(short, text)
                out.setdefault(key.strip(), []).append(value.strip())
    return out


def environment(s):
    env = {'PATH': os.environ.get('PATH', '/usr/bin')}
    for value in s.get('Environment', []):
        env.update(word.partition('=')[::2] for word in shlex.split(value))
    for name in s.get('EnvironmentFile', []):
        path = pathlib.Path(name.lstrip('-'))
        if not path.exists():
            if not name.startswith('-'):
                raise Failed(f'{path} is not there')
            continue
        for line in path.read_text().splitlines():
            if line.strip() and not line.startswith(('#', ';')):
                env.update(word.partition('=')[::2] for word in shlex.split(line))
    return env


def pid_path(path):
    STATE.mkdir(exist_ok=True)
    return STATE / f'{path.stem}.pid'


def running(path):
    """The pid, or None."""
    try:
        pid = int(pid_path(path).read_text())
        state = re.search(r'\) (\S)', pathlib.Path(f'/proc/{pid}/stat').read_text()).group(1)
    except (OSError, ValueError):
        return None
    return None if state == 'Z' else pid


def make_directories(s, user):
    for key, base in (('StateDirectory', '/var/lib'), ('RuntimeDirectory', '/run')):
        for name in s.get(key, []):
            path = pathlib.Path(base) / name
            path.mkdir(parents=True, exist_ok=True)
            path.chmod(int(s.get(key + 'Mode', ['0755'])[-1], 8))
            os.chown(path, user.pw_uid, user.pw_gid)


def wait_ready(notify, process, log):
    end = time.monotonic() + HANG_S
    notify.settimeout(0.1)
    while time.monotonic() < end:
        try:
            if b'READY=1' in notify.recv(4096):
                return
        except socket.timeout:
            pass
        if process.poll() is not None:
            raise Failed(f'ended with {process.returncode}:\n{log.read_text(errors="replace")[-3000:]}')
    raise Failed(f'did not become ready:\n{log.read_text(errors="replace")[-3000:]}')


def start(path):
    if running(path) is not None:
        return
    s = settings(path)
    user = pwd.getpwnam(s['User'][-1])
    group = grp.getgrnam(s['Group'][-1]).gr_gid if 'Group' in s else user.pw_gid
    make_directories(s, user)
    env, log = environment(s), pathlib.Path(f'/var/log/{path.stem}.log')
    address = STATE / f'{path.stem}.notify'
    STATE.mkdir(exist_ok=True)
    address.unlink(missing_ok=True)
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as notify:
        notify.bind(str(address))
        address.chmod(0o777)
        command = [os.path.expandvars(w) for w in shlex.split(s['ExecStart'][-1])]
        with open(log, 'ab') as out:
            process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=out, stderr=out, cwd='/',
                                       env=dict(env, NOTIFY_SOCKET=str(address)), user=user.pw_uid, group=group,
                                       extra_groups=[], umask=int(s.get('UMask', ['0022'])[-1], 8),
                                       start_new_session=True)
        pid_path(path).write_text(str(process.pid))
        wait_ready(notify, process, log)


def stop(path):
    pid = running(path)
    if pid is None:
        return
    os.kill(pid, signal.SIGTERM)
    end = time.monotonic() + HANG_S
    while running(path) is not None:
        if time.monotonic() > end:
            raise Failed(f'{path.name} does not stop')
        time.sleep(0.02)


def links(path):
    """What enable makes."""
    names = [path.name, *settings(path).get('Alias', [])]
    return [pathlib.Path('/etc/systemd/system') / n for n in names if n != path.name] + \
        [pathlib.Path('/etc/systemd/system/multi-user.target.wants') / path.name]


def enable(path):
    for link in links(path):
        link.parent.mkdir(parents=True, exist_ok=True)
        link.unlink(missing_ok=True)
        link.symlink_to(path)


def disable(path):
    for link in links(path):
        link.unlink(missing_ok=True)


def main():
    args = [a for a in sys.argv[1:] if a != '--now']
    now = '--now' in sys.argv
    verb, units = args[0], [unit_file(u.removesuffix('.service')) for u in args[1:]]
    for path in units:
        if verb == 'enable':
            enable(path)
        if verb == 'disable':
            disable(path)
        if verb in ('stop', 'restart') or (verb == 'disable' and now):
            stop(path)
        if verb in ('start', 'restart') or (verb == 'enable' and now):
            start(path)
    if verb not in ('enable', 'disable', 'start', 'stop', 'restart', 'daemon-reload'):
        raise Failed(f'{verb}: this stand-in does not know it')


if __name__ == '__main__':
    try:
        main()
    except Failed as e:
        sys.exit(f'systemctl: {e}')
