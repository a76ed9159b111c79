"""A bus of dbus-broker's at the socket that is named, for `cargo xtask bench broker`.

Its launcher wants a listening socket as descriptor 3, a journal to write to and another bus to find no systemd at.
So this is started in namespaces of its own, by dbus-run-session.
"""
import os
import socket
import sys

CONFIG = """<!DOCTYPE busconfig PUBLIC "-//freedesktop//DTD D-Bus Bus Configuration 1.0//EN"
 "http://www.freedesktop.org/standards/dbus/1.0/busconfig.dtd">
<busconfig>
  <type>session</type>
  <policy context="default">
    <allow send_destination="*"/>
    <allow receive_type="method_call"/>
    <allow receive_type="method_return"/>
    <allow receive_type="error"/>
    <allow receive_type="signal"/>
    <allow own="*"/>
  </policy>
</busconfig>
"""

path = sys.argv[1]
config = path + ".conf"
with open(config, "w") as file:
    file.write(CONFIG)

os.makedirs("/run/systemd/journal", exist_ok=True)
journal = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
journal.bind("/run/systemd/journal/socket")
os.dup2(journal.fileno(), 9)
bus = socket.socket(socket.AF_UNIX)
bus.bind(path)
bus.listen(128)
if bus.fileno() != 3:
    os.dup2(bus.fileno(), 3)
os.set_inheritable(3, True)
os.environ.update(LISTEN_PID=str(os.getpid()), LISTEN_FDS="1")
os.execvp("dbus-broker-launch", ["dbus-broker-launch", "--scope", "user", "--config-file", config])
