# Print an optspec for argparse to handle cmd's options that are independent of any subcommand.
function __fish_sandboxd_global_optspecs
    string join \n h/help V/version
end

function __fish_sandboxd_needs_command
    # Figure out if the current invocation already has a command.
    set -l cmd (commandline -opc)
    set -e cmd[1]
    argparse -s (__fish_sandboxd_global_optspecs) -- $cmd 2>/dev/null
    or return
    if set -q argv[1]
        # Also print the command, so this can be used to figure out what it is.
        echo $argv[1]
        return 1
    end
    return 0
end

function __fish_sandboxd_using_subcommand
    set -l cmd (__fish_sandboxd_needs_command)
    test -z "$cmd"
    and return 1
    contains -- $cmd[1] $argv
end

complete -c sandboxd -n "__fish_sandboxd_needs_command" -s h -l help -d 'Print help'
complete -c sandboxd -n "__fish_sandboxd_needs_command" -s V -l version -d 'Print version'
complete -c sandboxd -n "__fish_sandboxd_needs_command" -f -a "run" -d 'Run a command inside a sandbox'
complete -c sandboxd -n "__fish_sandboxd_needs_command" -f -a "mcp" -d 'Run an MCP server inside a sandbox, and let its client call what is named'
complete -c sandboxd -n "__fish_sandboxd_needs_command" -f -a "connect" -d 'Inside a sandbox: talk to what its profile lets be called, over standard input and output'
complete -c sandboxd -n "__fish_sandboxd_needs_command" -f -a "call" -d 'Call one tool, and print its answer'
complete -c sandboxd -n "__fish_sandboxd_needs_command" -f -a "ps" -d 'Show the runs that go on'
complete -c sandboxd -n "__fish_sandboxd_needs_command" -f -a "stop" -d 'End runs that go on'
complete -c sandboxd -n "__fish_sandboxd_needs_command" -f -a "approvals" -d 'Show the calls that wait for somebody to approve them'
complete -c sandboxd -n "__fish_sandboxd_needs_command" -f -a "approve" -d 'Approve a call that waits; without an ID, be asked about each as it comes'
complete -c sandboxd -n "__fish_sandboxd_needs_command" -f -a "deny" -d 'Deny a call that waits'
complete -c sandboxd -n "__fish_sandboxd_needs_command" -f -a "revoke" -d 'Take back, while a run goes on, that something in it may be called'
complete -c sandboxd -n "__fish_sandboxd_needs_command" -f -a "pins" -d 'Show, accept and forget what the tools of servers were when they were first seen'
complete -c sandboxd -n "__fish_sandboxd_needs_command" -f -a "check" -d 'Say whether a profile can be run here, and what is wrong with it where not'
complete -c sandboxd -n "__fish_sandboxd_needs_command" -f -a "plan" -d 'Print what a run would do: every mount, rule, limit and system call'
complete -c sandboxd -n "__fish_sandboxd_needs_command" -f -a "why" -d 'Say whether the command may, which line says so, and what to write where it may not'
complete -c sandboxd -n "__fish_sandboxd_needs_command" -f -a "learn" -d 'Run a command, see what it uses, and write a profile under which it runs'
complete -c sandboxd -n "__fish_sandboxd_needs_command" -f -a "profile" -d 'List, show, begin and describe profiles'
complete -c sandboxd -n "__fish_sandboxd_needs_command" -f -a "receipt" -d 'Compare what a run was enforced with to what it may lack'
complete -c sandboxd -n "__fish_sandboxd_needs_command" -f -a "graph" -d 'Draw who may call whom, say who can reach what, and what widened'
complete -c sandboxd -n "__fish_sandboxd_needs_command" -f -a "secret" -d 'List the secrets of a profile, see that each can be read and who uses it, and renew them in runs that go on'
complete -c sandboxd -n "__fish_sandboxd_needs_command" -f -a "doctor" -d 'Say what this host can enforce, what each builtin profile gets, and what to change'
complete -c sandboxd -n "__fish_sandboxd_needs_command" -f -a "audit" -d 'Show, verify and export the audit log: what was run here, and what became of it'
complete -c sandboxd -n "__fish_sandboxd_needs_command" -f -a "service" -d 'Be a service of sandboxd\'s own, inside a sandbox that it made for it'
complete -c sandboxd -n "__fish_sandboxd_needs_command" -f -a "completions" -d 'Print completions for a shell'
complete -c sandboxd -n "__fish_sandboxd_needs_command" -f -a "man" -d 'Print the man page, or write all of them into a folder'
complete -c sandboxd -n "__fish_sandboxd_using_subcommand run" -s p -l profile -d 'The profile: a file, or builtin:NAME. Without one: builtin:untrusted, and this folder readable where neither -r nor -w names another' -r
complete -c sandboxd -n "__fish_sandboxd_using_subcommand run" -l under -d 'Run it under another profile, which nothing here goes beyond: what is allowed is what both allow. May be given several times, the outermost first. The command, the user and the environment are not that profile\'s' -r
complete -c sandboxd -n "__fish_sandboxd_using_subcommand run" -s r -l read -d 'Let the command read PATH and what lies below it' -r
complete -c sandboxd -n "__fish_sandboxd_using_subcommand run" -s w -l write -d 'Let the command read and write PATH and what lies below it' -r
complete -c sandboxd -n "__fish_sandboxd_using_subcommand run" -s x -l execute -d 'Let the command read and execute PATH and what lies below it' -r
complete -c sandboxd -n "__fish_sandboxd_using_subcommand run" -l egress -d 'Let the command connect to TO: api.example.com:443 (TLS), \'*.example.com:443\', http://host.internal:8080, tcp://db.example.com:5432. Nothing else is reached then' -r
complete -c sandboxd -n "__fish_sandboxd_using_subcommand run" -l bind -d 'Show FROM of the host as TO inside; ACCESS is read, write or execute' -r
complete -c sandboxd -n "__fish_sandboxd_using_subcommand run" -s e -l env -d 'Set a variable, or pass one on from here. Nothing else is passed on' -r
complete -c sandboxd -n "__fish_sandboxd_using_subcommand run" -s s -l set -d 'Set any key of the profile, the value as TOML: --set limits.memory=\'"1G"\'' -r
complete -c sandboxd -n "__fish_sandboxd_using_subcommand run" -l receipt -d 'Write what was enforced to FILE, before the command starts (JSON)' -r -F
complete -c sandboxd -n "__fish_sandboxd_using_subcommand run" -l result-fd -d 'Write what became of the command to descriptor N (JSON)' -r
complete -c sandboxd -n "__fish_sandboxd_using_subcommand run" -l metrics -d 'Answer whoever reads metrics (Prometheus) while this runs, at a socket of this machine: unix:PATH, or 127.0.0.1:PORT' -r
complete -c sandboxd -n "__fish_sandboxd_using_subcommand run" -s t -l tty -d 'Give the command a terminal wherever one of standard input, output and error is one, not only where input and output are: cat list | sandboxd run -t -- less'
complete -c sandboxd -n "__fish_sandboxd_using_subcommand run" -l json -d 'Say everything as JSON, one object a line, on standard error'
complete -c sandboxd -n "__fish_sandboxd_using_subcommand run" -s q -l quiet -d 'Say nothing but why a command was not started'
complete -c sandboxd -n "__fish_sandboxd_using_subcommand run" -s h -l help -d 'Print help'
complete -c sandboxd -n "__fish_sandboxd_using_subcommand mcp" -l under -d 'Run it under another profile, which nothing here goes beyond: what is allowed is what both allow. May be given several times, the outermost first. The command, the user and the environment are not that profile\'s' -r
complete -c sandboxd -n "__fish_sandboxd_using_subcommand mcp" -s r -l read -d 'Let the command read PATH and what lies below it' -r
complete -c sandboxd -n "__fish_sandboxd_using_subcommand mcp" -s w -l write -d 'Let the command read and write PATH and what lies below it' -r
complete -c sandboxd -n "__fish_sandboxd_using_subcommand mcp" -s x -l execute -d 'Let the command read and execute PATH and what lies below it' -r
complete -c sandboxd -n "__fish_sandboxd_using_subcommand mcp" -l egress -d 'Let the command connect to TO: api.example.com:443 (TLS), \'*.example.com:443\', http://host.internal:8080, tcp://db.example.com:5432. Nothing else is reached then' -r
complete -c sandboxd -n "__fish_sandboxd_using_subcommand mcp" -l bind -d 'Show FROM of the host as TO inside; ACCESS is read, write or execute' -r
complete -c sandboxd -n "__fish_sandboxd_using_subcommand mcp" -s e -l env -d 'Set a variable, or pass one on from here. Nothing else is passed on' -r
complete -c sandboxd -n "__fish_sandboxd_using_subcommand mcp" -s s -l set -d 'Set any key of the profile, the value as TOML: --set limits.memory=\'"1G"\'' -r
complete -c sandboxd -n "__fish_sandboxd_using_subcommand mcp" -l tool -d 'Let the client call this tool: a name, "read_*", or "*". Added to [serve].tools' -r
complete -c sandboxd -n "__fish_sandboxd_using_subcommand mcp" -l ask -d 'Hold each call of this tool until somebody approves it (sandboxd approve): a name, "write_*", or "*". Added to [serve].ask' -r
complete -c sandboxd -n "__fish_sandboxd_using_subcommand mcp" -l receipt -d 'Write what was enforced to FILE, before the server starts (JSON)' -r -F
complete -c sandboxd -n "__fish_sandboxd_using_subcommand mcp" -l result-fd -d 'Write what became of the server to descriptor N (JSON)' -r
complete -c sandboxd -n "__fish_sandboxd_using_subcommand mcp" -l metrics -d 'Answer whoever reads metrics (Prometheus) while this runs, at a socket of this machine: unix:PATH, or 127.0.0.1:PORT' -r
complete -c sandboxd -n "__fish_sandboxd_using_subcommand mcp" -s p -l profile -d 'The profile: a file, or builtin:NAME. Without one: builtin:mcp-server' -r
complete -c sandboxd -n "__fish_sandboxd_using_subcommand mcp" -s t -l tty -d 'Give the command a terminal wherever one of standard input, output and error is one, not only where input and output are: cat list | sandboxd run -t -- less'
complete -c sandboxd -n "__fish_sandboxd_using_subcommand mcp" -l json -d 'Say everything as JSON, one object a line, on standard error'
complete -c sandboxd -n "__fish_sandboxd_using_subcommand mcp" -s q -l quiet -d 'Say nothing but why the server was not started'
complete -c sandboxd -n "__fish_sandboxd_using_subcommand mcp" -s h -l help -d 'Print help'
complete -c sandboxd -n "__fish_sandboxd_using_subcommand connect" -s h -l help -d 'Print help'
complete -c sandboxd -n "__fish_sandboxd_using_subcommand call" -s p -l profile -d 'Outside of a sandbox: the profile of whose agent\'s right it is called' -r
complete -c sandboxd -n "__fish_sandboxd_using_subcommand call" -l json -d 'Print the answer as it came, JSON'
complete -c sandboxd -n "__fish_sandboxd_using_subcommand call" -l method -d 'Call a method of JSON-RPC, of what serves without MCP ([serve] speaks = "json-rpc")'
complete -c sandboxd -n "__fish_sandboxd_using_subcommand call" -s h -l help -d 'Print help'
complete -c sandboxd -n "__fish_sandboxd_using_subcommand ps" -l json -d 'Print it as JSON, an object for each run'
complete -c sandboxd -n "__fish_sandboxd_using_subcommand ps" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c sandboxd -n "__fish_sandboxd_using_subcommand stop" -l all -d 'All runs of yours; with RUN, all of that name'
complete -c sandboxd -n "__fish_sandboxd_using_subcommand stop" -l now -d 'Kill at once'
complete -c sandboxd -n "__fish_sandboxd_using_subcommand stop" -l json -d 'Say which ended as JSON, one object a line'
complete -c sandboxd -n "__fish_sandboxd_using_subcommand stop" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c sandboxd -n "__fish_sandboxd_using_subcommand approvals" -s w -l watch -d 'Go on: print each call once, as it comes'
complete -c sandboxd -n "__fish_sandboxd_using_subcommand approvals" -l json -d 'Print each call as a JSON object on a line of its own'
complete -c sandboxd -n "__fish_sandboxd_using_subcommand approvals" -s h -l help -d 'Print help'
complete -c sandboxd -n "__fish_sandboxd_using_subcommand approve" -s h -l help -d 'Print help'
complete -c sandboxd -n "__fish_sandboxd_using_subcommand deny" -s r -l reason -d 'What whoever called is told, on one line' -r
complete -c sandboxd -n "__fish_sandboxd_using_subcommand deny" -s h -l help -d 'Print help'
complete -c sandboxd -n "__fish_sandboxd_using_subcommand revoke" -l json -d 'Print what came of it as JSON'
complete -c sandboxd -n "__fish_sandboxd_using_subcommand revoke" -s h -l help -d 'Print help'
complete -c sandboxd -n "__fish_sandboxd_using_subcommand pins; and not __fish_seen_subcommand_from accept forget" -l all -d 'Show every tool, not only those that changed'
complete -c sandboxd -n "__fish_sandboxd_using_subcommand pins; and not __fish_seen_subcommand_from accept forget" -l json -d 'Print it as JSON, an object for each server'
complete -c sandboxd -n "__fish_sandboxd_using_subcommand pins; and not __fish_seen_subcommand_from accept forget" -s h -l help -d 'Print help'
complete -c sandboxd -n "__fish_sandboxd_using_subcommand pins; and not __fish_seen_subcommand_from accept forget" -f -a "accept" -d 'Take tools as they are now, from the next run on; what they say now is listed before, and said again'
complete -c sandboxd -n "__fish_sandboxd_using_subcommand pins; and not __fish_seen_subcommand_from accept forget" -f -a "forget" -d 'Forget what is known of a server: its tools are pinned anew when they are seen next'
complete -c sandboxd -n "__fish_sandboxd_using_subcommand pins; and __fish_seen_subcommand_from accept" -s h -l help -d 'Print help'
complete -c sandboxd -n "__fish_sandboxd_using_subcommand pins; and __fish_seen_subcommand_from forget" -s h -l help -d 'Print help'
complete -c sandboxd -n "__fish_sandboxd_using_subcommand check" -s p -l profile -d 'The profile: a file, or builtin:NAME. Without one: builtin:untrusted, and this folder readable where neither -r nor -w names another' -r
complete -c sandboxd -n "__fish_sandboxd_using_subcommand check" -l under -d 'Run it under another profile, which nothing here goes beyond: what is allowed is what both allow. May be given several times, the outermost first. The command, the user and the environment are not that profile\'s' -r
complete -c sandboxd -n "__fish_sandboxd_using_subcommand check" -s r -l read -d 'Let the command read PATH and what lies below it' -r
complete -c sandboxd -n "__fish_sandboxd_using_subcommand check" -s w -l write -d 'Let the command read and write PATH and what lies below it' -r
complete -c sandboxd -n "__fish_sandboxd_using_subcommand check" -s x -l execute -d 'Let the command read and execute PATH and what lies below it' -r
complete -c sandboxd -n "__fish_sandboxd_using_subcommand check" -l egress -d 'Let the command connect to TO: api.example.com:443 (TLS), \'*.example.com:443\', http://host.internal:8080, tcp://db.example.com:5432. Nothing else is reached then' -r
complete -c sandboxd -n "__fish_sandboxd_using_subcommand check" -l bind -d 'Show FROM of the host as TO inside; ACCESS is read, write or execute' -r
complete -c sandboxd -n "__fish_sandboxd_using_subcommand check" -s e -l env -d 'Set a variable, or pass one on from here. Nothing else is passed on' -r
complete -c sandboxd -n "__fish_sandboxd_using_subcommand check" -s s -l set -d 'Set any key of the profile, the value as TOML: --set limits.memory=\'"1G"\'' -r
complete -c sandboxd -n "__fish_sandboxd_using_subcommand check" -s t -l tty -d 'Give the command a terminal wherever one of standard input, output and error is one, not only where input and output are: cat list | sandboxd run -t -- less'
complete -c sandboxd -n "__fish_sandboxd_using_subcommand check" -l json -d 'Print the answer as JSON'
complete -c sandboxd -n "__fish_sandboxd_using_subcommand check" -s h -l help -d 'Print help'
complete -c sandboxd -n "__fish_sandboxd_using_subcommand plan" -s p -l profile -d 'The profile: a file, or builtin:NAME. Without one: builtin:untrusted, and this folder readable where neither -r nor -w names another' -r
complete -c sandboxd -n "__fish_sandboxd_using_subcommand plan" -l under -d 'Run it under another profile, which nothing here goes beyond: what is allowed is what both allow. May be given several times, the outermost first. The command, the user and the environment are not that profile\'s' -r
complete -c sandboxd -n "__fish_sandboxd_using_subcommand plan" -s r -l read -d 'Let the command read PATH and what lies below it' -r
complete -c sandboxd -n "__fish_sandboxd_using_subcommand plan" -s w -l write -d 'Let the command read and write PATH and what lies below it' -r
complete -c sandboxd -n "__fish_sandboxd_using_subcommand plan" -s x -l execute -d 'Let the command read and execute PATH and what lies below it' -r
complete -c sandboxd -n "__fish_sandboxd_using_subcommand plan" -l egress -d 'Let the command connect to TO: api.example.com:443 (TLS), \'*.example.com:443\', http://host.internal:8080, tcp://db.example.com:5432. Nothing else is reached then' -r
complete -c sandboxd -n "__fish_sandboxd_using_subcommand plan" -l bind -d 'Show FROM of the host as TO inside; ACCESS is read, write or execute' -r
complete -c sandboxd -n "__fish_sandboxd_using_subcommand plan" -s e -l env -d 'Set a variable, or pass one on from here. Nothing else is passed on' -r
complete -c sandboxd -n "__fish_sandboxd_using_subcommand plan" -s s -l set -d 'Set any key of the profile, the value as TOML: --set limits.memory=\'"1G"\'' -r
complete -c sandboxd -n "__fish_sandboxd_using_subcommand plan" -s t -l tty -d 'Give the command a terminal wherever one of standard input, output and error is one, not only where input and output are: cat list | sandboxd run -t -- less'
complete -c sandboxd -n "__fish_sandboxd_using_subcommand plan" -l json -d 'Print exactly what the shim reads, and what the supervisor does around it'
complete -c sandboxd -n "__fish_sandboxd_using_subcommand plan" -l filter -d 'Print the system call filter, an instruction a line'
complete -c sandboxd -n "__fish_sandboxd_using_subcommand plan" -s h -l help -d 'Print help'
complete -c sandboxd -n "__fish_sandboxd_using_subcommand why" -s p -l profile -d 'The profile: a file, or builtin:NAME. Without one: builtin:untrusted, and this folder readable where neither -r nor -w names another' -r
complete -c sandboxd -n "__fish_sandboxd_using_subcommand why" -l under -d 'Run it under another profile, which nothing here goes beyond: what is allowed is what both allow. May be given several times, the outermost first. The command, the user and the environment are not that profile\'s' -r
complete -c sandboxd -n "__fish_sandboxd_using_subcommand why" -s r -l read -d 'Let the command read PATH and what lies below it' -r
complete -c sandboxd -n "__fish_sandboxd_using_subcommand why" -s w -l write -d 'Let the command read and write PATH and what lies below it' -r
complete -c sandboxd -n "__fish_sandboxd_using_subcommand why" -s x -l execute -d 'Let the command read and execute PATH and what lies below it' -r
complete -c sandboxd -n "__fish_sandboxd_using_subcommand why" -l egress -d 'Let the command connect to TO: api.example.com:443 (TLS), \'*.example.com:443\', http://host.internal:8080, tcp://db.example.com:5432. Nothing else is reached then' -r
complete -c sandboxd -n "__fish_sandboxd_using_subcommand why" -l bind -d 'Show FROM of the host as TO inside; ACCESS is read, write or execute' -r
complete -c sandboxd -n "__fish_sandboxd_using_subcommand why" -s e -l env -d 'Set a variable, or pass one on from here. Nothing else is passed on' -r
complete -c sandboxd -n "__fish_sandboxd_using_subcommand why" -s s -l set -d 'Set any key of the profile, the value as TOML: --set limits.memory=\'"1G"\'' -r
complete -c sandboxd -n "__fish_sandboxd_using_subcommand why" -l path -d 'May it do something with this path? As the command would write it: a relative one begins in its working directory, and links lead where they lead inside' -r
complete -c sandboxd -n "__fish_sandboxd_using_subcommand why" -l access -d 'What it wants to do with it: read, write or execute, or one right of landlock(7)' -r -f -a "read\t''
write\t''
execute\t''
read-file\t''
read-dir\t''
write-file\t''
truncate\t''
make-reg\t''
make-dir\t''
make-sym\t''
make-sock\t''
make-fifo\t''
make-char\t''
make-block\t''
remove-file\t''
remove-dir\t''
ioctl-dev\t''
resolve-unix\t''"
complete -c sandboxd -n "__fish_sandboxd_using_subcommand why" -l syscall -d 'May it make this system call?' -r
complete -c sandboxd -n "__fish_sandboxd_using_subcommand why" -l host -d 'May it connect to this port of this host?' -r
complete -c sandboxd -n "__fish_sandboxd_using_subcommand why" -l call -d 'May it call what its profile calls EDGE, and this tool there?' -r
complete -c sandboxd -n "__fish_sandboxd_using_subcommand why" -s t -l tty -d 'Give the command a terminal wherever one of standard input, output and error is one, not only where input and output are: cat list | sandboxd run -t -- less'
complete -c sandboxd -n "__fish_sandboxd_using_subcommand why" -l last -d 'What was your last run refused that failed or was refused anything, and what would allow it? Known are system calls, hosts that were not let out, and calls of tools; of files it says how to ask'
complete -c sandboxd -n "__fish_sandboxd_using_subcommand why" -l json -d 'Print the answer as JSON'
complete -c sandboxd -n "__fish_sandboxd_using_subcommand why" -s h -l help -d 'Print help'
complete -c sandboxd -n "__fish_sandboxd_using_subcommand learn" -l under -d 'Run it under another profile, which nothing here goes beyond: what is allowed is what both allow. May be given several times, the outermost first. The command, the user and the environment are not that profile\'s' -r
complete -c sandboxd -n "__fish_sandboxd_using_subcommand learn" -s r -l read -d 'Let the command read PATH and what lies below it' -r
complete -c sandboxd -n "__fish_sandboxd_using_subcommand learn" -s w -l write -d 'Let the command read and write PATH and what lies below it' -r
complete -c sandboxd -n "__fish_sandboxd_using_subcommand learn" -s x -l execute -d 'Let the command read and execute PATH and what lies below it' -r
complete -c sandboxd -n "__fish_sandboxd_using_subcommand learn" -l egress -d 'Let the command connect to TO: api.example.com:443 (TLS), \'*.example.com:443\', http://host.internal:8080, tcp://db.example.com:5432. Nothing else is reached then' -r
complete -c sandboxd -n "__fish_sandboxd_using_subcommand learn" -l bind -d 'Show FROM of the host as TO inside; ACCESS is read, write or execute' -r
complete -c sandboxd -n "__fish_sandboxd_using_subcommand learn" -s e -l env -d 'Set a variable, or pass one on from here. Nothing else is passed on' -r
complete -c sandboxd -n "__fish_sandboxd_using_subcommand learn" -s s -l set -d 'Set any key of the profile, the value as TOML: --set limits.memory=\'"1G"\'' -r
complete -c sandboxd -n "__fish_sandboxd_using_subcommand learn" -s o -l output -d 'Where the profile is written; must not exist, and not lie where the command or what it calls may write' -r -F
complete -c sandboxd -n "__fish_sandboxd_using_subcommand learn" -s p -l profile -d 'The profile: a file, or builtin:NAME. Without one: builtin:base' -r
complete -c sandboxd -n "__fish_sandboxd_using_subcommand learn" -s t -l tty -d 'Give the command a terminal wherever one of standard input, output and error is one, not only where input and output are: cat list | sandboxd run -t -- less'
complete -c sandboxd -n "__fish_sandboxd_using_subcommand learn" -s q -l quiet -d 'Say nothing of what is allowed meanwhile'
complete -c sandboxd -n "__fish_sandboxd_using_subcommand learn" -s h -l help -d 'Print help'
complete -c sandboxd -n "__fish_sandboxd_using_subcommand profile; and not __fish_seen_subcommand_from list show init schema" -s h -l help -d 'Print help'
complete -c sandboxd -n "__fish_sandboxd_using_subcommand profile; and not __fish_seen_subcommand_from list show init schema" -f -a "list" -d 'List the profiles that ship'
complete -c sandboxd -n "__fish_sandboxd_using_subcommand profile; and not __fish_seen_subcommand_from list show init schema" -f -a "show" -d 'Print a profile with all it extends, and where each line comes from'
complete -c sandboxd -n "__fish_sandboxd_using_subcommand profile; and not __fish_seen_subcommand_from list show init schema" -f -a "init" -d 'Write a profile to begin with'
complete -c sandboxd -n "__fish_sandboxd_using_subcommand profile; and not __fish_seen_subcommand_from list show init schema" -f -a "schema" -d 'Print the JSON Schema of profiles, for editors'
complete -c sandboxd -n "__fish_sandboxd_using_subcommand profile; and __fish_seen_subcommand_from list" -l json -d 'Print them as JSON'
complete -c sandboxd -n "__fish_sandboxd_using_subcommand profile; and __fish_seen_subcommand_from list" -s h -l help -d 'Print help'
complete -c sandboxd -n "__fish_sandboxd_using_subcommand profile; and __fish_seen_subcommand_from show" -l json -d 'Print it as JSON'
complete -c sandboxd -n "__fish_sandboxd_using_subcommand profile; and __fish_seen_subcommand_from show" -s h -l help -d 'Print help'
complete -c sandboxd -n "__fish_sandboxd_using_subcommand profile; and __fish_seen_subcommand_from init" -l extends -d 'The builtin profile it extends' -r
complete -c sandboxd -n "__fish_sandboxd_using_subcommand profile; and __fish_seen_subcommand_from init" -s h -l help -d 'Print help'
complete -c sandboxd -n "__fish_sandboxd_using_subcommand profile; and __fish_seen_subcommand_from schema" -s h -l help -d 'Print help'
complete -c sandboxd -n "__fish_sandboxd_using_subcommand receipt; and not __fish_seen_subcommand_from check" -s h -l help -d 'Print help'
complete -c sandboxd -n "__fish_sandboxd_using_subcommand receipt; and not __fish_seen_subcommand_from check" -f -a "check" -d 'Say whether everything was enforced that must be'
complete -c sandboxd -n "__fish_sandboxd_using_subcommand receipt; and __fish_seen_subcommand_from check" -l may-lack -d 'What may be missing: keys of [require] (cgroup, landlock.ioctl) and layers of the receipt (mount-view). A name that nothing has is an error' -r
complete -c sandboxd -n "__fish_sandboxd_using_subcommand receipt; and __fish_seen_subcommand_from check" -l json -d 'Print the answer as JSON'
complete -c sandboxd -n "__fish_sandboxd_using_subcommand receipt; and __fish_seen_subcommand_from check" -s h -l help -d 'Print help'
complete -c sandboxd -n "__fish_sandboxd_using_subcommand graph; and not __fish_seen_subcommand_from diff" -s p -l profile -d 'A profile, which may be given several times' -r
complete -c sandboxd -n "__fish_sandboxd_using_subcommand graph; and not __fish_seen_subcommand_from diff" -l from -d 'Say how this profile can reach what --to names' -r
complete -c sandboxd -n "__fish_sandboxd_using_subcommand graph; and not __fish_seen_subcommand_from diff" -l to -d 'Another profile, the network, or a path from /' -r
complete -c sandboxd -n "__fish_sandboxd_using_subcommand graph; and not __fish_seen_subcommand_from diff" -l dot -d 'Print it for Graphviz'
complete -c sandboxd -n "__fish_sandboxd_using_subcommand graph; and not __fish_seen_subcommand_from diff" -l json -d 'Print it as JSON'
complete -c sandboxd -n "__fish_sandboxd_using_subcommand graph; and not __fish_seen_subcommand_from diff" -s h -l help -d 'Print help'
complete -c sandboxd -n "__fish_sandboxd_using_subcommand graph; and not __fish_seen_subcommand_from diff" -a "diff" -d 'Say what may be done with NEW that might not be with OLD, and the other way round'
complete -c sandboxd -n "__fish_sandboxd_using_subcommand graph; and __fish_seen_subcommand_from diff" -l json -d 'Print it as JSON'
complete -c sandboxd -n "__fish_sandboxd_using_subcommand graph; and __fish_seen_subcommand_from diff" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c sandboxd -n "__fish_sandboxd_using_subcommand secret; and not __fish_seen_subcommand_from list check uses rotate" -s h -l help -d 'Print help'
complete -c sandboxd -n "__fish_sandboxd_using_subcommand secret; and not __fish_seen_subcommand_from list check uses rotate" -f -a "list" -d 'Print where each is read, and who uses it. Nothing is read'
complete -c sandboxd -n "__fish_sandboxd_using_subcommand secret; and not __fish_seen_subcommand_from list check uses rotate" -f -a "check" -d 'Read each as a run would, and say which cannot be, and why'
complete -c sandboxd -n "__fish_sandboxd_using_subcommand secret; and not __fish_seen_subcommand_from list check uses rotate" -f -a "uses" -d 'Print who may use each, and what the audit log says of who did: how often, and when last'
complete -c sandboxd -n "__fish_sandboxd_using_subcommand secret; and not __fish_seen_subcommand_from list check uses rotate" -f -a "rotate" -d 'Have runs that are going on read theirs again: the next request or call has what each is now'
complete -c sandboxd -n "__fish_sandboxd_using_subcommand secret; and __fish_seen_subcommand_from list" -s p -l profile -d 'The profile: a file, or builtin:NAME. Without one: builtin:untrusted, and this folder readable where neither -r nor -w names another' -r
complete -c sandboxd -n "__fish_sandboxd_using_subcommand secret; and __fish_seen_subcommand_from list" -l under -d 'Run it under another profile, which nothing here goes beyond: what is allowed is what both allow. May be given several times, the outermost first. The command, the user and the environment are not that profile\'s' -r
complete -c sandboxd -n "__fish_sandboxd_using_subcommand secret; and __fish_seen_subcommand_from list" -s r -l read -d 'Let the command read PATH and what lies below it' -r
complete -c sandboxd -n "__fish_sandboxd_using_subcommand secret; and __fish_seen_subcommand_from list" -s w -l write -d 'Let the command read and write PATH and what lies below it' -r
complete -c sandboxd -n "__fish_sandboxd_using_subcommand secret; and __fish_seen_subcommand_from list" -s x -l execute -d 'Let the command read and execute PATH and what lies below it' -r
complete -c sandboxd -n "__fish_sandboxd_using_subcommand secret; and __fish_seen_subcommand_from list" -l egress -d 'Let the command connect to TO: api.example.com:443 (TLS), \'*.example.com:443\', http://host.internal:8080, tcp://db.example.com:5432. Nothing else is reached then' -r
complete -c sandboxd -n "__fish_sandboxd_using_subcommand secret; and __fish_seen_subcommand_from list" -l bind -d 'Show FROM of the host as TO inside; ACCESS is read, write or execute' -r
complete -c sandboxd -n "__fish_sandboxd_using_subcommand secret; and __fish_seen_subcommand_from list" -s e -l env -d 'Set a variable, or pass one on from here. Nothing else is passed on' -r
complete -c sandboxd -n "__fish_sandboxd_using_subcommand secret; and __fish_seen_subcommand_from list" -s s -l set -d 'Set any key of the profile, the value as TOML: --set limits.memory=\'"1G"\'' -r
complete -c sandboxd -n "__fish_sandboxd_using_subcommand secret; and __fish_seen_subcommand_from list" -s t -l tty -d 'Give the command a terminal wherever one of standard input, output and error is one, not only where input and output are: cat list | sandboxd run -t -- less'
complete -c sandboxd -n "__fish_sandboxd_using_subcommand secret; and __fish_seen_subcommand_from list" -l json -d 'Print them as JSON'
complete -c sandboxd -n "__fish_sandboxd_using_subcommand secret; and __fish_seen_subcommand_from list" -s h -l help -d 'Print help'
complete -c sandboxd -n "__fish_sandboxd_using_subcommand secret; and __fish_seen_subcommand_from check" -s p -l profile -d 'The profile: a file, or builtin:NAME. Without one: builtin:untrusted, and this folder readable where neither -r nor -w names another' -r
complete -c sandboxd -n "__fish_sandboxd_using_subcommand secret; and __fish_seen_subcommand_from check" -l under -d 'Run it under another profile, which nothing here goes beyond: what is allowed is what both allow. May be given several times, the outermost first. The command, the user and the environment are not that profile\'s' -r
complete -c sandboxd -n "__fish_sandboxd_using_subcommand secret; and __fish_seen_subcommand_from check" -s r -l read -d 'Let the command read PATH and what lies below it' -r
complete -c sandboxd -n "__fish_sandboxd_using_subcommand secret; and __fish_seen_subcommand_from check" -s w -l write -d 'Let the command read and write PATH and what lies below it' -r
complete -c sandboxd -n "__fish_sandboxd_using_subcommand secret; and __fish_seen_subcommand_from check" -s x -l execute -d 'Let the command read and execute PATH and what lies below it' -r
complete -c sandboxd -n "__fish_sandboxd_using_subcommand secret; and __fish_seen_subcommand_from check" -l egress -d 'Let the command connect to TO: api.example.com:443 (TLS), \'*.example.com:443\', http://host.internal:8080, tcp://db.example.com:5432. Nothing else is reached then' -r
complete -c sandboxd -n "__fish_sandboxd_using_subcommand secret; and __fish_seen_subcommand_from check" -l bind -d 'Show FROM of the host as TO inside; ACCESS is read, write or execute' -r
complete -c sandboxd -n "__fish_sandboxd_using_subcommand secret; and __fish_seen_subcommand_from check" -s e -l env -d 'Set a variable, or pass one on from here. Nothing else is passed on' -r
complete -c sandboxd -n "__fish_sandboxd_using_subcommand secret; and __fish_seen_subcommand_from check" -s s -l set -d 'Set any key of the profile, the value as TOML: --set limits.memory=\'"1G"\'' -r
complete -c sandboxd -n "__fish_sandboxd_using_subcommand secret; and __fish_seen_subcommand_from check" -s t -l tty -d 'Give the command a terminal wherever one of standard input, output and error is one, not only where input and output are: cat list | sandboxd run -t -- less'
complete -c sandboxd -n "__fish_sandboxd_using_subcommand secret; and __fish_seen_subcommand_from check" -l json -d 'Print them as JSON'
complete -c sandboxd -n "__fish_sandboxd_using_subcommand secret; and __fish_seen_subcommand_from check" -s h -l help -d 'Print help'
complete -c sandboxd -n "__fish_sandboxd_using_subcommand secret; and __fish_seen_subcommand_from uses" -s p -l profile -d 'The profile: a file, or builtin:NAME. Without one: builtin:untrusted, and this folder readable where neither -r nor -w names another' -r
complete -c sandboxd -n "__fish_sandboxd_using_subcommand secret; and __fish_seen_subcommand_from uses" -l under -d 'Run it under another profile, which nothing here goes beyond: what is allowed is what both allow. May be given several times, the outermost first. The command, the user and the environment are not that profile\'s' -r
complete -c sandboxd -n "__fish_sandboxd_using_subcommand secret; and __fish_seen_subcommand_from uses" -s r -l read -d 'Let the command read PATH and what lies below it' -r
complete -c sandboxd -n "__fish_sandboxd_using_subcommand secret; and __fish_seen_subcommand_from uses" -s w -l write -d 'Let the command read and write PATH and what lies below it' -r
complete -c sandboxd -n "__fish_sandboxd_using_subcommand secret; and __fish_seen_subcommand_from uses" -s x -l execute -d 'Let the command read and execute PATH and what lies below it' -r
complete -c sandboxd -n "__fish_sandboxd_using_subcommand secret; and __fish_seen_subcommand_from uses" -l egress -d 'Let the command connect to TO: api.example.com:443 (TLS), \'*.example.com:443\', http://host.internal:8080, tcp://db.example.com:5432. Nothing else is reached then' -r
complete -c sandboxd -n "__fish_sandboxd_using_subcommand secret; and __fish_seen_subcommand_from uses" -l bind -d 'Show FROM of the host as TO inside; ACCESS is read, write or execute' -r
complete -c sandboxd -n "__fish_sandboxd_using_subcommand secret; and __fish_seen_subcommand_from uses" -s e -l env -d 'Set a variable, or pass one on from here. Nothing else is passed on' -r
complete -c sandboxd -n "__fish_sandboxd_using_subcommand secret; and __fish_seen_subcommand_from uses" -s s -l set -d 'Set any key of the profile, the value as TOML: --set limits.memory=\'"1G"\'' -r
complete -c sandboxd -n "__fish_sandboxd_using_subcommand secret; and __fish_seen_subcommand_from uses" -l secret -d 'Only this secret, by its name in the profile' -r
complete -c sandboxd -n "__fish_sandboxd_using_subcommand secret; and __fish_seen_subcommand_from uses" -l since -d 'Only what happened since: 30m, 6h, 2d, 2026-11-25 or 2026-11-25T15:00 (UTC)' -r
complete -c sandboxd -n "__fish_sandboxd_using_subcommand secret; and __fish_seen_subcommand_from uses" -s t -l tty -d 'Give the command a terminal wherever one of standard input, output and error is one, not only where input and output are: cat list | sandboxd run -t -- less'
complete -c sandboxd -n "__fish_sandboxd_using_subcommand secret; and __fish_seen_subcommand_from uses" -l json -d 'Print them as JSON'
complete -c sandboxd -n "__fish_sandboxd_using_subcommand secret; and __fish_seen_subcommand_from uses" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c sandboxd -n "__fish_sandboxd_using_subcommand secret; and __fish_seen_subcommand_from rotate" -l run -d 'The id of a run, as `sandboxd ps` has it; without it, all of the user\'s' -r
complete -c sandboxd -n "__fish_sandboxd_using_subcommand secret; and __fish_seen_subcommand_from rotate" -l json -d 'Print what came of it as JSON'
complete -c sandboxd -n "__fish_sandboxd_using_subcommand secret; and __fish_seen_subcommand_from rotate" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c sandboxd -n "__fish_sandboxd_using_subcommand doctor" -l clean -d 'Remove what killed supervisors left behind, say what that was, and do nothing else. Living sandboxes are not touched'
complete -c sandboxd -n "__fish_sandboxd_using_subcommand doctor" -l json -d 'Print it as JSON'
complete -c sandboxd -n "__fish_sandboxd_using_subcommand doctor" -s h -l help -d 'Print help'
complete -c sandboxd -n "__fish_sandboxd_using_subcommand audit; and not __fish_seen_subcommand_from show verify export" -s h -l help -d 'Print help'
complete -c sandboxd -n "__fish_sandboxd_using_subcommand audit; and not __fish_seen_subcommand_from show verify export" -f -a "show" -d 'Print the records, the oldest first'
complete -c sandboxd -n "__fish_sandboxd_using_subcommand audit; and not __fish_seen_subcommand_from show verify export" -f -a "verify" -d 'Say whether all records are there and as they were written, and exactly what is not'
complete -c sandboxd -n "__fish_sandboxd_using_subcommand audit; and not __fish_seen_subcommand_from show verify export" -f -a "export" -d 'Print the records for another program, or the checkpoints to be kept elsewhere'
complete -c sandboxd -n "__fish_sandboxd_using_subcommand audit; and __fish_seen_subcommand_from show" -l since -d 'Only what happened since: 30m, 6h, 2d, 2026-11-25 or 2026-11-25T15:00 (UTC)' -r
complete -c sandboxd -n "__fish_sandboxd_using_subcommand audit; and __fish_seen_subcommand_from show" -l agent -d 'Only what this profile\'s sandboxes did, by its name or the id of one of them' -r
complete -c sandboxd -n "__fish_sandboxd_using_subcommand audit; and __fish_seen_subcommand_from show" -l kind -d 'Only records of this kind: started, refused, ended; header, checkpoint and the like' -r
complete -c sandboxd -n "__fish_sandboxd_using_subcommand audit; and __fish_seen_subcommand_from show" -s n -l last -d 'Only the last N of them; with --follow, those and what comes' -r
complete -c sandboxd -n "__fish_sandboxd_using_subcommand audit; and __fish_seen_subcommand_from show" -s f -l follow -d 'Go on with what is written from now on, until interrupted'
complete -c sandboxd -n "__fish_sandboxd_using_subcommand audit; and __fish_seen_subcommand_from show" -l json -d 'Print each record as it was written, one JSON object a line'
complete -c sandboxd -n "__fish_sandboxd_using_subcommand audit; and __fish_seen_subcommand_from show" -s h -l help -d 'Print help'
complete -c sandboxd -n "__fish_sandboxd_using_subcommand audit; and __fish_seen_subcommand_from verify" -l from -d 'A file of checkpoints that was kept elsewhere; each must be borne out' -r -F
complete -c sandboxd -n "__fish_sandboxd_using_subcommand audit; and __fish_seen_subcommand_from verify" -l json -d 'Print what was found as JSON'
complete -c sandboxd -n "__fish_sandboxd_using_subcommand audit; and __fish_seen_subcommand_from verify" -s h -l help -d 'Print help'
complete -c sandboxd -n "__fish_sandboxd_using_subcommand audit; and __fish_seen_subcommand_from export" -l format -d 'How' -r -f -a "jsonl\t'As they were written'
cef\t'Common Event Format'
checkpoints\t'Only the signed checkpoints'"
complete -c sandboxd -n "__fish_sandboxd_using_subcommand audit; and __fish_seen_subcommand_from export" -l since -d 'Only what happened since: 30m, 6h, 2d, 2026-11-25 or 2026-11-25T15:00 (UTC)' -r
complete -c sandboxd -n "__fish_sandboxd_using_subcommand audit; and __fish_seen_subcommand_from export" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c sandboxd -n "__fish_sandboxd_using_subcommand service; and not __fish_seen_subcommand_from terminal broker egress notify observe network" -s h -l help -d 'Print help'
complete -c sandboxd -n "__fish_sandboxd_using_subcommand service; and not __fish_seen_subcommand_from terminal broker egress notify observe network" -f -a "terminal" -d 'Filter what a terminal is shown: standard input to standard output'
complete -c sandboxd -n "__fish_sandboxd_using_subcommand service; and not __fish_seen_subcommand_from terminal broker egress notify observe network" -f -a "broker" -d 'Carry calls, between a client and a server or among agents and tools'
complete -c sandboxd -n "__fish_sandboxd_using_subcommand service; and not __fish_seen_subcommand_from terminal broker egress notify observe network" -f -a "egress" -d 'Let out what a plan names: it is standard input, and the supervisor gives the sockets'
complete -c sandboxd -n "__fish_sandboxd_using_subcommand service; and not __fish_seen_subcommand_from terminal broker egress notify observe network" -f -a "notify" -d 'Pass on what a command says to its service manager: standard input to standard error'
complete -c sandboxd -n "__fish_sandboxd_using_subcommand service; and not __fish_seen_subcommand_from terminal broker egress notify observe network" -f -a "observe" -d 'Start a command, and see what it names; see `sandboxd learn`'
complete -c sandboxd -n "__fish_sandboxd_using_subcommand service; and not __fish_seen_subcommand_from terminal broker egress notify observe network" -f -a "network" -d 'Lead everything in a user\'s network namespace to sockets, and hand those over'
complete -c sandboxd -n "__fish_sandboxd_using_subcommand service; and __fish_seen_subcommand_from terminal" -s h -l help -d 'Print help'
complete -c sandboxd -n "__fish_sandboxd_using_subcommand service; and __fish_seen_subcommand_from broker" -s h -l help -d 'Print help'
complete -c sandboxd -n "__fish_sandboxd_using_subcommand service; and __fish_seen_subcommand_from egress" -s h -l help -d 'Print help'
complete -c sandboxd -n "__fish_sandboxd_using_subcommand service; and __fish_seen_subcommand_from notify" -s h -l help -d 'Print help'
complete -c sandboxd -n "__fish_sandboxd_using_subcommand service; and __fish_seen_subcommand_from observe" -l record -d 'Where that is told' -r -F
complete -c sandboxd -n "__fish_sandboxd_using_subcommand service; and __fish_seen_subcommand_from observe" -l calls -d 'Numbers of system calls to tell of' -r
complete -c sandboxd -n "__fish_sandboxd_using_subcommand service; and __fish_seen_subcommand_from observe" -s h -l help -d 'Print help'
complete -c sandboxd -n "__fish_sandboxd_using_subcommand service; and __fish_seen_subcommand_from network" -s h -l help -d 'Print help'
complete -c sandboxd -n "__fish_sandboxd_using_subcommand completions" -s h -l help -d 'Print help'
complete -c sandboxd -n "__fish_sandboxd_using_subcommand man" -s h -l help -d 'Print help'
