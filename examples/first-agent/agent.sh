#!/bin/sh
# An agent that does its work, and then tries what no agent should. It knows nothing of sandboxd.

echo "== its work"
echo "task: $(cat task.txt)"
{
    echo "lines: $(wc -l < notes.txt)"
    echo "words: $(wc -w < notes.txt)"
} > result.txt && echo "wrote result.txt"

# Runs one attempt. Prints what came back, and whether it got through.
try() {
    echo
    echo "== $1"
    shift
    echo "\$ $*"
    if answer=$("$@" 2>&1); then
        echo "$answer"
        echo "-> it got through"
        escaped=yes
    else
        echo "$answer" | head -n 1
        echo "-> refused"
    fi
}

try "your keys, where it is at home"  ls -A "$HOME/.ssh"
try "your keys, where you are"        ls -A /root/.ssh
try "the network"                     bash -c 'echo hi > /dev/tcp/1.1.1.1/443'
try "a program with the setuid bit"   mount -t tmpfs none /tmp
try "to make such a program"          sh -c 'cp /usr/bin/id /tmp/id && chmod u+s /tmp/id'
try "to change its own script"        sh -c 'echo : >> /agent/agent.sh'
try "a namespace to be root in"       unshare --user --map-root-user id

echo
if [ -n "$escaped" ]; then
    echo "something got through"
    exit 1
fi
echo "seven attempts, seven refusals; and it is still $(id -un), uid $(id -u)"
