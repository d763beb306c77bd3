"""A login by hand, over h2client: the token itself, which the command line tools keep to themselves."""
from cairn_test import HANG_S
from h2client import DATA, END_STREAM, Client, field
from watch_stream import fields


def login(port, name, password):
    c = Client(port, timeout=HANG_S)
    try:
        stream = c.call('/etcdserverpb.Auth/Authenticate', field(1, name.encode()) + field(2, password.encode()))
        data, is_over = b'', False
        while not is_over:
            kind, flags, at, payload = c.read_frame()
            data += payload if at == stream and kind == DATA else b''
            is_over = at == stream and flags & END_STREAM
        return dict(fields(data[5:]))[2].decode()
    finally:
        c.close()
