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
complete -c sandboxd -n "__fish_sandboxd_needs_command" -f -a "run" -d 'Run a command in a sandbox'
complete -c sandboxd -n "__fish_sandboxd_needs_command" -f -a "mcp" -d 'Run an MCP server in a sandbox, and let its client call only the tools you list'
complete -c sandboxd -n "__fish_sandboxd_needs_command" -f -a "connect" -d 'Inside a sandbox: connect to a callee that the profile lists, over standard input and output'
complete -c sandboxd -n "__fish_sandboxd_needs_command" -f -a "call" -d 'Call one tool and print its answer'
complete -c sandboxd -n "__fish_sandboxd_needs_command" -f -a "ps" -d 'How running sandboxes are listed'
complete -c sandboxd -n "__fish_sandboxd_needs_command" -f -a "stop" -d 'Which runs are stopped'
complete -c sandboxd -n "__fish_sandboxd_needs_command" -f -a "approvals" -d 'List the calls that wait for approval'
complete -c sandboxd -n "__fish_sandboxd_needs_command" -f -a "approve" -d 'Approve a waiting call; without an ID, answer each as it arrives'
complete -c sandboxd -n "__fish_sandboxd_needs_command" -f -a "deny" -d 'Deny a waiting call'
complete -c sandboxd -n "__fish_sandboxd_needs_command" -f -a "revoke" -d 'Revoke an edge of a running sandbox: what it leads to can no longer be called'
complete -c sandboxd -n "__fish_sandboxd_needs_command" -f -a "pins" -d 'Show, accept or forget the pinned tool definitions of MCP servers'
complete -c sandboxd -n "__fish_sandboxd_needs_command" -f -a "check" -d 'Check whether a profile can run on this host, and report every problem'
complete -c sandboxd -n "__fish_sandboxd_needs_command" -f -a "plan" -d 'Print what a run would do: every mount, rule, limit and system call'
complete -c sandboxd -n "__fish_sandboxd_needs_command" -f -a "why" -d 'Explain whether an access is allowed, which profile line decides, and what to change'
complete -c sandboxd -n "__fish_sandboxd_needs_command" -f -a "learn" -d 'Run a command, observe what it uses, and write a profile for it'
complete -c sandboxd -n "__fish_sandboxd_needs_command" -f -a "profile" -d 'List, show, create and describe profiles'
complete -c sandboxd -n "__fish_sandboxd_needs_command" -f -a "receipt" -d 'Check a receipt against the layers that a run may lack'
complete -c sandboxd -n "__fish_sandboxd_needs_command" -f -a "graph" -d 'Show who may call whom, who can reach what, and what a change widens'
complete -c sandboxd -n "__fish_sandboxd_needs_command" -f -a "secret" -d 'List and check the secrets of a profile, show their uses, and rotate them'
complete -c sandboxd -n "__fish_sandboxd_needs_command" -f -a "doctor" -d 'Check what this host can enforce, what each builtin profile gets, and what to change'
complete -c sandboxd -n "__fish_sandboxd_needs_command" -f -a "audit" -d 'Show, verify and export the audit log'
complete -c sandboxd -n "__fish_sandboxd_needs_command" -f -a "service" -d 'Run as one of sandboxd\'s own services, in a sandbox of its own'
complete -c sandboxd -n "__fish_sandboxd_needs_command" -f -a "completions" -d 'Print shell completions'
complete -c sandboxd -n "__fish_sandboxd_needs_command" -f -a "man" -d 'Print the man page, or write all man pages to a folder'
complete -c sandboxd -n "__fish_sandboxd_using_subcommand run" -s p -l profile -d 'The profile: a file, or builtin:NAME. Default: builtin:untrusted, with this folder readable unless -r or -w names another' -r
complete -c sandboxd -n "__fish_sandboxd_using_subcommand run" -l under -d 'Also apply another profile as an upper bound: only what both allow is allowed. Repeatable, outermost first. The command, user and environment are not taken from it' -r
complete -c sandboxd -n "__fish_sandboxd_using_subcommand run" -s r -l read -d 'Let the command read PATH and everything below it' -r
complete -c sandboxd -n "__fish_sandboxd_using_subcommand run" -s w -l write -d 'Let the command read and write PATH and everything below it' -r
complete -c sandboxd -n "__fish_sandboxd_using_subcommand run" -s x -l execute -d 'Let the command read and execute PATH and everything below it' -r
complete -c sandboxd -n "__fish_sandboxd_using_subcommand run" -l egress -d 'Let the command connect to TO: api.example.com:443 (TLS), \'*.example.com:443\', http://host.internal:8080, tcp://db.example.com:5432. Nothing else can be reached' -r
complete -c sandboxd -n "__fish_sandboxd_using_subcommand run" -l bind -d 'Mount FROM of the host at TO inside; ACCESS is read, write or execute' -r
complete -c sandboxd -n "__fish_sandboxd_using_subcommand run" -s e -l env -d 'Set an environment variable, or pass on the caller\'s. No others are passed on' -r
complete -c sandboxd -n "__fish_sandboxd_using_subcommand run" -s s -l set -d 'Set any key of the profile; VALUE is TOML: --set limits.memory=\'"1G"\'' -r
complete -c sandboxd -n "__fish_sandboxd_using_subcommand run" -l receipt -d 'Write a receipt of what is enforced to FILE (JSON), before the command starts' -r -F
complete -c sandboxd -n "__fish_sandboxd_using_subcommand run" -l result-fd -d 'Write the result of the run to file descriptor N (JSON)' -r
complete -c sandboxd -n "__fish_sandboxd_using_subcommand run" -l metrics -d 'Serve Prometheus metrics during the run, on a local socket: unix:PATH, or 127.0.0.1:PORT' -r
complete -c sandboxd -n "__fish_sandboxd_using_subcommand run" -s t -l tty -d 'Give the command a terminal if any of standard input, output and error is one, not only if both input and output are: cat list | sandboxd run -t -- less'
complete -c sandboxd -n "__fish_sandboxd_using_subcommand run" -l json -d 'Print messages as JSON, one object per line, on standard error'
complete -c sandboxd -n "__fish_sandboxd_using_subcommand run" -s q -l quiet -d 'Print nothing except why a command was not started'
complete -c sandboxd -n "__fish_sandboxd_using_subcommand run" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c sandboxd -n "__fish_sandboxd_using_subcommand mcp" -l under -d 'Also apply another profile as an upper bound: only what both allow is allowed. Repeatable, outermost first. The command, user and environment are not taken from it' -r
complete -c sandboxd -n "__fish_sandboxd_using_subcommand mcp" -s r -l read -d 'Let the command read PATH and everything below it' -r
complete -c sandboxd -n "__fish_sandboxd_using_subcommand mcp" -s w -l write -d 'Let the command read and write PATH and everything below it' -r
complete -c sandboxd -n "__fish_sandboxd_using_subcommand mcp" -s x -l execute -d 'Let the command read and execute PATH and everything below it' -r
complete -c sandboxd -n "__fish_sandboxd_using_subcommand mcp" -l egress -d 'Let the command connect to TO: api.example.com:443 (TLS), \'*.example.com:443\', http://host.internal:8080, tcp://db.example.com:5432. Nothing else can be reached' -r
complete -c sandboxd -n "__fish_sandboxd_using_subcommand mcp" -l bind -d 'Mount FROM of the host at TO inside; ACCESS is read, write or execute' -r
complete -c sandboxd -n "__fish_sandboxd_using_subcommand mcp" -s e -l env -d 'Set an environment variable, or pass on the caller\'s. No others are passed on' -r
complete -c sandboxd -n "__fish_sandboxd_using_subcommand mcp" -s s -l set -d 'Set any key of the profile; VALUE is TOML: --set limits.memory=\'"1G"\'' -r
complete -c sandboxd -n "__fish_sandboxd_using_subcommand mcp" -l tool -d 'Let the client call this tool: a name, "read_*", or "*". Added to [serve].tools' -r
complete -c sandboxd -n "__fish_sandboxd_using_subcommand mcp" -l ask -d 'Hold each call of this tool until a person approves it (sandboxd approve): a name, "write_*", or "*". Added to [serve].ask' -r
complete -c sandboxd -n "__fish_sandboxd_using_subcommand mcp" -l receipt -d 'Write a receipt of what is enforced to FILE (JSON), before the server starts' -r -F
complete -c sandboxd -n "__fish_sandboxd_using_subcommand mcp" -l result-fd -d 'Write the result of the run to file descriptor N (JSON)' -r
complete -c sandboxd -n "__fish_sandboxd_using_subcommand mcp" -l metrics -d 'Serve Prometheus metrics during the run, on a local socket: unix:PATH, or 127.0.0.1:PORT' -r
complete -c sandboxd -n "__fish_sandboxd_using_subcommand mcp" -s p -l profile -d 'The profile: a file, or builtin:NAME. Default: builtin:mcp-server' -r
complete -c sandboxd -n "__fish_sandboxd_using_subcommand mcp" -l json -d 'Print messages as JSON, one object per line, on standard error'
complete -c sandboxd -n "__fish_sandboxd_using_subcommand mcp" -s q -l quiet -d 'Print nothing except why the server was not started'
complete -c sandboxd -n "__fish_sandboxd_using_subcommand mcp" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c sandboxd -n "__fish_sandboxd_using_subcommand connect" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c sandboxd -n "__fish_sandboxd_using_subcommand call" -s p -l profile -d 'Outside a sandbox: the profile with whose rights to call' -r
complete -c sandboxd -n "__fish_sandboxd_using_subcommand call" -l json -d 'Print the answer as received (JSON)'
complete -c sandboxd -n "__fish_sandboxd_using_subcommand call" -l method -d 'Call a JSON-RPC method of a callee that does not speak MCP ([serve] speaks = "json-rpc")'
complete -c sandboxd -n "__fish_sandboxd_using_subcommand call" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c sandboxd -n "__fish_sandboxd_using_subcommand ps" -l json -d 'Print JSON, one object per run'
complete -c sandboxd -n "__fish_sandboxd_using_subcommand ps" -s h -l help -d 'Print help'
complete -c sandboxd -n "__fish_sandboxd_using_subcommand stop" -l all -d 'All of your runs; with RUN, all of that name'
complete -c sandboxd -n "__fish_sandboxd_using_subcommand stop" -l now -d 'Kill immediately'
complete -c sandboxd -n "__fish_sandboxd_using_subcommand stop" -l json -d 'Print what ended as JSON, one object per line'
complete -c sandboxd -n "__fish_sandboxd_using_subcommand stop" -s h -l help -d 'Print help'
complete -c sandboxd -n "__fish_sandboxd_using_subcommand approvals" -s w -l watch -d 'Keep watching: print each call once, as it arrives'
complete -c sandboxd -n "__fish_sandboxd_using_subcommand approvals" -l json -d 'Print each call as JSON, one object per line'
complete -c sandboxd -n "__fish_sandboxd_using_subcommand approvals" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c sandboxd -n "__fish_sandboxd_using_subcommand approve" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c sandboxd -n "__fish_sandboxd_using_subcommand deny" -s r -l reason -d 'The reason to give the caller, on one line' -r
complete -c sandboxd -n "__fish_sandboxd_using_subcommand deny" -s h -l help -d 'Print help'
complete -c sandboxd -n "__fish_sandboxd_using_subcommand revoke" -l json -d 'Print the outcome as JSON'
complete -c sandboxd -n "__fish_sandboxd_using_subcommand revoke" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c sandboxd -n "__fish_sandboxd_using_subcommand pins; and not __fish_seen_subcommand_from accept forget" -l all -d 'Show every tool, not only changed ones'
complete -c sandboxd -n "__fish_sandboxd_using_subcommand pins; and not __fish_seen_subcommand_from accept forget" -l json -d 'Print JSON, one object per server'
complete -c sandboxd -n "__fish_sandboxd_using_subcommand pins; and not __fish_seen_subcommand_from accept forget" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c sandboxd -n "__fish_sandboxd_using_subcommand pins; and not __fish_seen_subcommand_from accept forget" -f -a "accept" -d 'Accept a server\'s current tool definitions (shown first), from the next run on'
complete -c sandboxd -n "__fish_sandboxd_using_subcommand pins; and not __fish_seen_subcommand_from accept forget" -f -a "forget" -d 'Forget a server: its tools are pinned again when next seen'
complete -c sandboxd -n "__fish_sandboxd_using_subcommand pins; and __fish_seen_subcommand_from accept" -s h -l help -d 'Print help'
complete -c sandboxd -n "__fish_sandboxd_using_subcommand pins; and __fish_seen_subcommand_from forget" -s h -l help -d 'Print help'
complete -c sandboxd -n "__fish_sandboxd_using_subcommand check" -s p -l profile -d 'The profile: a file, or builtin:NAME. Default: builtin:untrusted, with this folder readable unless -r or -w names another' -r
complete -c sandboxd -n "__fish_sandboxd_using_subcommand check" -l under -d 'Also apply another profile as an upper bound: only what both allow is allowed. Repeatable, outermost first. The command, user and environment are not taken from it' -r
complete -c sandboxd -n "__fish_sandboxd_using_subcommand check" -s r -l read -d 'Let the command read PATH and everything below it' -r
complete -c sandboxd -n "__fish_sandboxd_using_subcommand check" -s w -l write -d 'Let the command read and write PATH and everything below it' -r
complete -c sandboxd -n "__fish_sandboxd_using_subcommand check" -s x -l execute -d 'Let the command read and execute PATH and everything below it' -r
complete -c sandboxd -n "__fish_sandboxd_using_subcommand check" -l egress -d 'Let the command connect to TO: api.example.com:443 (TLS), \'*.example.com:443\', http://host.internal:8080, tcp://db.example.com:5432. Nothing else can be reached' -r
complete -c sandboxd -n "__fish_sandboxd_using_subcommand check" -l bind -d 'Mount FROM of the host at TO inside; ACCESS is read, write or execute' -r
complete -c sandboxd -n "__fish_sandboxd_using_subcommand check" -s e -l env -d 'Set an environment variable, or pass on the caller\'s. No others are passed on' -r
complete -c sandboxd -n "__fish_sandboxd_using_subcommand check" -s s -l set -d 'Set any key of the profile; VALUE is TOML: --set limits.memory=\'"1G"\'' -r
complete -c sandboxd -n "__fish_sandboxd_using_subcommand check" -l json -d 'Print the answer as JSON'
complete -c sandboxd -n "__fish_sandboxd_using_subcommand check" -s h -l help -d 'Print help'
complete -c sandboxd -n "__fish_sandboxd_using_subcommand plan" -s p -l profile -d 'The profile: a file, or builtin:NAME. Default: builtin:untrusted, with this folder readable unless -r or -w names another' -r
complete -c sandboxd -n "__fish_sandboxd_using_subcommand plan" -l under -d 'Also apply another profile as an upper bound: only what both allow is allowed. Repeatable, outermost first. The command, user and environment are not taken from it' -r
complete -c sandboxd -n "__fish_sandboxd_using_subcommand plan" -s r -l read -d 'Let the command read PATH and everything below it' -r
complete -c sandboxd -n "__fish_sandboxd_using_subcommand plan" -s w -l write -d 'Let the command read and write PATH and everything below it' -r
complete -c sandboxd -n "__fish_sandboxd_using_subcommand plan" -s x -l execute -d 'Let the command read and execute PATH and everything below it' -r
complete -c sandboxd -n "__fish_sandboxd_using_subcommand plan" -l egress -d 'Let the command connect to TO: api.example.com:443 (TLS), \'*.example.com:443\', http://host.internal:8080, tcp://db.example.com:5432. Nothing else can be reached' -r
complete -c sandboxd -n "__fish_sandboxd_using_subcommand plan" -l bind -d 'Mount FROM of the host at TO inside; ACCESS is read, write or execute' -r
complete -c sandboxd -n "__fish_sandboxd_using_subcommand plan" -s e -l env -d 'Set an environment variable, or pass on the caller\'s. No others are passed on' -r
complete -c sandboxd -n "__fish_sandboxd_using_subcommand plan" -s s -l set -d 'Set any key of the profile; VALUE is TOML: --set limits.memory=\'"1G"\'' -r
complete -c sandboxd -n "__fish_sandboxd_using_subcommand plan" -l json -d 'Print exactly what the shim reads and what the supervisor does, as JSON'
complete -c sandboxd -n "__fish_sandboxd_using_subcommand plan" -l filter -d 'Print the system call filter, one instruction per line'
complete -c sandboxd -n "__fish_sandboxd_using_subcommand plan" -s h -l help -d 'Print help'
complete -c sandboxd -n "__fish_sandboxd_using_subcommand why" -s p -l profile -d 'The profile: a file, or builtin:NAME. Default: builtin:untrusted, with this folder readable unless -r or -w names another' -r
complete -c sandboxd -n "__fish_sandboxd_using_subcommand why" -l under -d 'Also apply another profile as an upper bound: only what both allow is allowed. Repeatable, outermost first. The command, user and environment are not taken from it' -r
complete -c sandboxd -n "__fish_sandboxd_using_subcommand why" -s r -l read -d 'Let the command read PATH and everything below it' -r
complete -c sandboxd -n "__fish_sandboxd_using_subcommand why" -s w -l write -d 'Let the command read and write PATH and everything below it' -r
complete -c sandboxd -n "__fish_sandboxd_using_subcommand why" -s x -l execute -d 'Let the command read and execute PATH and everything below it' -r
complete -c sandboxd -n "__fish_sandboxd_using_subcommand why" -l egress -d 'Let the command connect to TO: api.example.com:443 (TLS), \'*.example.com:443\', http://host.internal:8080, tcp://db.example.com:5432. Nothing else can be reached' -r
complete -c sandboxd -n "__fish_sandboxd_using_subcommand why" -l bind -d 'Mount FROM of the host at TO inside; ACCESS is read, write or execute' -r
complete -c sandboxd -n "__fish_sandboxd_using_subcommand why" -s e -l env -d 'Set an environment variable, or pass on the caller\'s. No others are passed on' -r
complete -c sandboxd -n "__fish_sandboxd_using_subcommand why" -s s -l set -d 'Set any key of the profile; VALUE is TOML: --set limits.memory=\'"1G"\'' -r
complete -c sandboxd -n "__fish_sandboxd_using_subcommand why" -l path -d 'Can it access this path? As the command would write it: a relative path starts in its working directory, and links are resolved inside' -r
complete -c sandboxd -n "__fish_sandboxd_using_subcommand why" -l access -d 'The kind of access: read, write or execute, or one right of landlock(7)' -r -f -a "read\t''
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
complete -c sandboxd -n "__fish_sandboxd_using_subcommand why" -l syscall -d 'Can it make this system call?' -r
complete -c sandboxd -n "__fish_sandboxd_using_subcommand why" -l host -d 'Can it connect to this port of this host?' -r
complete -c sandboxd -n "__fish_sandboxd_using_subcommand why" -l call -d 'Can it call [call.EDGE] of its profile, and this tool there?' -r
complete -c sandboxd -n "__fish_sandboxd_using_subcommand why" -l last -d 'What was denied to your last run that failed or was denied anything, and what would allow it? Covers system calls, hosts and tool calls; for files it says how to ask'
complete -c sandboxd -n "__fish_sandboxd_using_subcommand why" -l json -d 'Print the answer as JSON'
complete -c sandboxd -n "__fish_sandboxd_using_subcommand why" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c sandboxd -n "__fish_sandboxd_using_subcommand learn" -l under -d 'Also apply another profile as an upper bound: only what both allow is allowed. Repeatable, outermost first. The command, user and environment are not taken from it' -r
complete -c sandboxd -n "__fish_sandboxd_using_subcommand learn" -s r -l read -d 'Let the command read PATH and everything below it' -r
complete -c sandboxd -n "__fish_sandboxd_using_subcommand learn" -s w -l write -d 'Let the command read and write PATH and everything below it' -r
complete -c sandboxd -n "__fish_sandboxd_using_subcommand learn" -s x -l execute -d 'Let the command read and execute PATH and everything below it' -r
complete -c sandboxd -n "__fish_sandboxd_using_subcommand learn" -l egress -d 'Let the command connect to TO: api.example.com:443 (TLS), \'*.example.com:443\', http://host.internal:8080, tcp://db.example.com:5432. Nothing else can be reached' -r
complete -c sandboxd -n "__fish_sandboxd_using_subcommand learn" -l bind -d 'Mount FROM of the host at TO inside; ACCESS is read, write or execute' -r
complete -c sandboxd -n "__fish_sandboxd_using_subcommand learn" -s e -l env -d 'Set an environment variable, or pass on the caller\'s. No others are passed on' -r
complete -c sandboxd -n "__fish_sandboxd_using_subcommand learn" -s s -l set -d 'Set any key of the profile; VALUE is TOML: --set limits.memory=\'"1G"\'' -r
complete -c sandboxd -n "__fish_sandboxd_using_subcommand learn" -s o -l output -d 'The profile to write; must not exist, and not be where the command or its callees may write' -r -F
complete -c sandboxd -n "__fish_sandboxd_using_subcommand learn" -s p -l profile -d 'The profile: a file, or builtin:NAME. Default: builtin:base' -r
complete -c sandboxd -n "__fish_sandboxd_using_subcommand learn" -s t -l tty -d 'Give the command a terminal if any of standard input, output and error is one, not only if both input and output are'
complete -c sandboxd -n "__fish_sandboxd_using_subcommand learn" -s q -l quiet -d 'Do not print what is allowed during observation'
complete -c sandboxd -n "__fish_sandboxd_using_subcommand learn" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c sandboxd -n "__fish_sandboxd_using_subcommand profile; and not __fish_seen_subcommand_from list show init schema" -s h -l help -d 'Print help'
complete -c sandboxd -n "__fish_sandboxd_using_subcommand profile; and not __fish_seen_subcommand_from list show init schema" -f -a "list" -d 'List the builtin profiles'
complete -c sandboxd -n "__fish_sandboxd_using_subcommand profile; and not __fish_seen_subcommand_from list show init schema" -f -a "show" -d 'Print a profile merged with all it extends, and the source of each line'
complete -c sandboxd -n "__fish_sandboxd_using_subcommand profile; and not __fish_seen_subcommand_from list show init schema" -f -a "init" -d 'Write a starter profile'
complete -c sandboxd -n "__fish_sandboxd_using_subcommand profile; and not __fish_seen_subcommand_from list show init schema" -f -a "schema" -d 'Print the JSON Schema of profiles, for editors'
complete -c sandboxd -n "__fish_sandboxd_using_subcommand profile; and __fish_seen_subcommand_from list" -l json -d 'Print them as JSON'
complete -c sandboxd -n "__fish_sandboxd_using_subcommand profile; and __fish_seen_subcommand_from list" -s h -l help -d 'Print help'
complete -c sandboxd -n "__fish_sandboxd_using_subcommand profile; and __fish_seen_subcommand_from show" -l json -d 'Print it as JSON'
complete -c sandboxd -n "__fish_sandboxd_using_subcommand profile; and __fish_seen_subcommand_from show" -s h -l help -d 'Print help'
complete -c sandboxd -n "__fish_sandboxd_using_subcommand profile; and __fish_seen_subcommand_from init" -l extends -d 'The builtin profile it extends' -r
complete -c sandboxd -n "__fish_sandboxd_using_subcommand profile; and __fish_seen_subcommand_from init" -s h -l help -d 'Print help'
complete -c sandboxd -n "__fish_sandboxd_using_subcommand profile; and __fish_seen_subcommand_from schema" -s h -l help -d 'Print help'
complete -c sandboxd -n "__fish_sandboxd_using_subcommand receipt; and not __fish_seen_subcommand_from check" -s h -l help -d 'Print help'
complete -c sandboxd -n "__fish_sandboxd_using_subcommand receipt; and not __fish_seen_subcommand_from check" -f -a "check" -d 'Check that every required layer was enforced'
complete -c sandboxd -n "__fish_sandboxd_using_subcommand receipt; and __fish_seen_subcommand_from check" -l may-lack -d 'What may be missing: keys of [require] (cgroup, landlock.ioctl) or layers of the receipt (mount-view). An unknown name is an error' -r
complete -c sandboxd -n "__fish_sandboxd_using_subcommand receipt; and __fish_seen_subcommand_from check" -l json -d 'Print the answer as JSON'
complete -c sandboxd -n "__fish_sandboxd_using_subcommand receipt; and __fish_seen_subcommand_from check" -s h -l help -d 'Print help'
complete -c sandboxd -n "__fish_sandboxd_using_subcommand graph; and not __fish_seen_subcommand_from diff" -s p -l profile -d 'A profile; repeatable' -r
complete -c sandboxd -n "__fish_sandboxd_using_subcommand graph; and not __fish_seen_subcommand_from diff" -l from -d 'Show how this profile can reach what --to names' -r
complete -c sandboxd -n "__fish_sandboxd_using_subcommand graph; and not __fish_seen_subcommand_from diff" -l to -d 'Another profile, the network, or an absolute path' -r
complete -c sandboxd -n "__fish_sandboxd_using_subcommand graph; and not __fish_seen_subcommand_from diff" -l dot -d 'Print it in Graphviz format'
complete -c sandboxd -n "__fish_sandboxd_using_subcommand graph; and not __fish_seen_subcommand_from diff" -l json -d 'Print it as JSON'
complete -c sandboxd -n "__fish_sandboxd_using_subcommand graph; and not __fish_seen_subcommand_from diff" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c sandboxd -n "__fish_sandboxd_using_subcommand graph; and not __fish_seen_subcommand_from diff" -a "diff" -d 'Show what NEW allows that OLD did not, and the reverse'
complete -c sandboxd -n "__fish_sandboxd_using_subcommand graph; and __fish_seen_subcommand_from diff" -l json -d 'Print it as JSON'
complete -c sandboxd -n "__fish_sandboxd_using_subcommand graph; and __fish_seen_subcommand_from diff" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c sandboxd -n "__fish_sandboxd_using_subcommand secret; and not __fish_seen_subcommand_from list check uses rotate" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c sandboxd -n "__fish_sandboxd_using_subcommand secret; and not __fish_seen_subcommand_from list check uses rotate" -f -a "list" -d 'List where each secret is read from and what uses it. Reads none of them'
complete -c sandboxd -n "__fish_sandboxd_using_subcommand secret; and not __fish_seen_subcommand_from list check uses rotate" -f -a "check" -d 'Read each secret as a run would, and report which cannot be read, and why'
complete -c sandboxd -n "__fish_sandboxd_using_subcommand secret; and not __fish_seen_subcommand_from list check uses rotate" -f -a "uses" -d 'Show what may use each secret, and from the audit log what did: how often, and when last'
complete -c sandboxd -n "__fish_sandboxd_using_subcommand secret; and not __fish_seen_subcommand_from list check uses rotate" -f -a "rotate" -d 'Make running sandboxes re-read their secrets'
complete -c sandboxd -n "__fish_sandboxd_using_subcommand secret; and __fish_seen_subcommand_from list" -s p -l profile -d 'The profile: a file, or builtin:NAME. Default: builtin:untrusted, with this folder readable unless -r or -w names another' -r
complete -c sandboxd -n "__fish_sandboxd_using_subcommand secret; and __fish_seen_subcommand_from list" -l under -d 'Also apply another profile as an upper bound: only what both allow is allowed. Repeatable, outermost first. The command, user and environment are not taken from it' -r
complete -c sandboxd -n "__fish_sandboxd_using_subcommand secret; and __fish_seen_subcommand_from list" -s r -l read -d 'Let the command read PATH and everything below it' -r
complete -c sandboxd -n "__fish_sandboxd_using_subcommand secret; and __fish_seen_subcommand_from list" -s w -l write -d 'Let the command read and write PATH and everything below it' -r
complete -c sandboxd -n "__fish_sandboxd_using_subcommand secret; and __fish_seen_subcommand_from list" -s x -l execute -d 'Let the command read and execute PATH and everything below it' -r
complete -c sandboxd -n "__fish_sandboxd_using_subcommand secret; and __fish_seen_subcommand_from list" -l egress -d 'Let the command connect to TO: api.example.com:443 (TLS), \'*.example.com:443\', http://host.internal:8080, tcp://db.example.com:5432. Nothing else can be reached' -r
complete -c sandboxd -n "__fish_sandboxd_using_subcommand secret; and __fish_seen_subcommand_from list" -l bind -d 'Mount FROM of the host at TO inside; ACCESS is read, write or execute' -r
complete -c sandboxd -n "__fish_sandboxd_using_subcommand secret; and __fish_seen_subcommand_from list" -s e -l env -d 'Set an environment variable, or pass on the caller\'s. No others are passed on' -r
complete -c sandboxd -n "__fish_sandboxd_using_subcommand secret; and __fish_seen_subcommand_from list" -s s -l set -d 'Set any key of the profile; VALUE is TOML: --set limits.memory=\'"1G"\'' -r
complete -c sandboxd -n "__fish_sandboxd_using_subcommand secret; and __fish_seen_subcommand_from list" -l json -d 'Print them as JSON'
complete -c sandboxd -n "__fish_sandboxd_using_subcommand secret; and __fish_seen_subcommand_from list" -s h -l help -d 'Print help'
complete -c sandboxd -n "__fish_sandboxd_using_subcommand secret; and __fish_seen_subcommand_from check" -s p -l profile -d 'The profile: a file, or builtin:NAME. Default: builtin:untrusted, with this folder readable unless -r or -w names another' -r
complete -c sandboxd -n "__fish_sandboxd_using_subcommand secret; and __fish_seen_subcommand_from check" -l under -d 'Also apply another profile as an upper bound: only what both allow is allowed. Repeatable, outermost first. The command, user and environment are not taken from it' -r
complete -c sandboxd -n "__fish_sandboxd_using_subcommand secret; and __fish_seen_subcommand_from check" -s r -l read -d 'Let the command read PATH and everything below it' -r
complete -c sandboxd -n "__fish_sandboxd_using_subcommand secret; and __fish_seen_subcommand_from check" -s w -l write -d 'Let the command read and write PATH and everything below it' -r
complete -c sandboxd -n "__fish_sandboxd_using_subcommand secret; and __fish_seen_subcommand_from check" -s x -l execute -d 'Let the command read and execute PATH and everything below it' -r
complete -c sandboxd -n "__fish_sandboxd_using_subcommand secret; and __fish_seen_subcommand_from check" -l egress -d 'Let the command connect to TO: api.example.com:443 (TLS), \'*.example.com:443\', http://host.internal:8080, tcp://db.example.com:5432. Nothing else can be reached' -r
complete -c sandboxd -n "__fish_sandboxd_using_subcommand secret; and __fish_seen_subcommand_from check" -l bind -d 'Mount FROM of the host at TO inside; ACCESS is read, write or execute' -r
complete -c sandboxd -n "__fish_sandboxd_using_subcommand secret; and __fish_seen_subcommand_from check" -s e -l env -d 'Set an environment variable, or pass on the caller\'s. No others are passed on' -r
complete -c sandboxd -n "__fish_sandboxd_using_subcommand secret; and __fish_seen_subcommand_from check" -s s -l set -d 'Set any key of the profile; VALUE is TOML: --set limits.memory=\'"1G"\'' -r
complete -c sandboxd -n "__fish_sandboxd_using_subcommand secret; and __fish_seen_subcommand_from check" -l json -d 'Print them as JSON'
complete -c sandboxd -n "__fish_sandboxd_using_subcommand secret; and __fish_seen_subcommand_from check" -s h -l help -d 'Print help'
complete -c sandboxd -n "__fish_sandboxd_using_subcommand secret; and __fish_seen_subcommand_from uses" -s p -l profile -d 'The profile: a file, or builtin:NAME. Default: builtin:untrusted, with this folder readable unless -r or -w names another' -r
complete -c sandboxd -n "__fish_sandboxd_using_subcommand secret; and __fish_seen_subcommand_from uses" -l under -d 'Also apply another profile as an upper bound: only what both allow is allowed. Repeatable, outermost first. The command, user and environment are not taken from it' -r
complete -c sandboxd -n "__fish_sandboxd_using_subcommand secret; and __fish_seen_subcommand_from uses" -s r -l read -d 'Let the command read PATH and everything below it' -r
complete -c sandboxd -n "__fish_sandboxd_using_subcommand secret; and __fish_seen_subcommand_from uses" -s w -l write -d 'Let the command read and write PATH and everything below it' -r
complete -c sandboxd -n "__fish_sandboxd_using_subcommand secret; and __fish_seen_subcommand_from uses" -s x -l execute -d 'Let the command read and execute PATH and everything below it' -r
complete -c sandboxd -n "__fish_sandboxd_using_subcommand secret; and __fish_seen_subcommand_from uses" -l egress -d 'Let the command connect to TO: api.example.com:443 (TLS), \'*.example.com:443\', http://host.internal:8080, tcp://db.example.com:5432. Nothing else can be reached' -r
complete -c sandboxd -n "__fish_sandboxd_using_subcommand secret; and __fish_seen_subcommand_from uses" -l bind -d 'Mount FROM of the host at TO inside; ACCESS is read, write or execute' -r
complete -c sandboxd -n "__fish_sandboxd_using_subcommand secret; and __fish_seen_subcommand_from uses" -s e -l env -d 'Set an environment variable, or pass on the caller\'s. No others are passed on' -r
complete -c sandboxd -n "__fish_sandboxd_using_subcommand secret; and __fish_seen_subcommand_from uses" -s s -l set -d 'Set any key of the profile; VALUE is TOML: --set limits.memory=\'"1G"\'' -r
complete -c sandboxd -n "__fish_sandboxd_using_subcommand secret; and __fish_seen_subcommand_from uses" -l secret -d 'Only this secret, by its name in the profile' -r
complete -c sandboxd -n "__fish_sandboxd_using_subcommand secret; and __fish_seen_subcommand_from uses" -l since -d 'Only uses since WHEN: 30m, 6h, 2d, 2026-11-25 or 2026-11-25T15:00 (UTC)' -r
complete -c sandboxd -n "__fish_sandboxd_using_subcommand secret; and __fish_seen_subcommand_from uses" -l json -d 'Print them as JSON'
complete -c sandboxd -n "__fish_sandboxd_using_subcommand secret; and __fish_seen_subcommand_from uses" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c sandboxd -n "__fish_sandboxd_using_subcommand secret; and __fish_seen_subcommand_from rotate" -l run -d 'The id of a run, as `sandboxd ps` shows it. Default: all of your runs' -r
complete -c sandboxd -n "__fish_sandboxd_using_subcommand secret; and __fish_seen_subcommand_from rotate" -l json -d 'Print the outcome as JSON'
complete -c sandboxd -n "__fish_sandboxd_using_subcommand secret; and __fish_seen_subcommand_from rotate" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c sandboxd -n "__fish_sandboxd_using_subcommand doctor" -l clean -d 'Only remove what killed supervisors left behind, and list it. Running sandboxes are not touched'
complete -c sandboxd -n "__fish_sandboxd_using_subcommand doctor" -l json -d 'Print it as JSON'
complete -c sandboxd -n "__fish_sandboxd_using_subcommand doctor" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c sandboxd -n "__fish_sandboxd_using_subcommand audit; and not __fish_seen_subcommand_from show verify export" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c sandboxd -n "__fish_sandboxd_using_subcommand audit; and not __fish_seen_subcommand_from show verify export" -f -a "show" -d 'Print the records, oldest first'
complete -c sandboxd -n "__fish_sandboxd_using_subcommand audit; and not __fish_seen_subcommand_from show verify export" -f -a "verify" -d 'Verify that no record is missing or changed, and report exactly which is'
complete -c sandboxd -n "__fish_sandboxd_using_subcommand audit; and not __fish_seen_subcommand_from show verify export" -f -a "export" -d 'Export the records for other programs, or the checkpoints to keep elsewhere'
complete -c sandboxd -n "__fish_sandboxd_using_subcommand audit; and __fish_seen_subcommand_from show" -l since -d 'Only records since WHEN: 30m, 6h, 2d, 2026-11-25 or 2026-11-25T15:00 (UTC)' -r
complete -c sandboxd -n "__fish_sandboxd_using_subcommand audit; and __fish_seen_subcommand_from show" -l agent -d 'Only records of this profile (by name) or this sandbox (by id)' -r
complete -c sandboxd -n "__fish_sandboxd_using_subcommand audit; and __fish_seen_subcommand_from show" -l kind -d 'Only records of this kind, such as started, refused, ended, header or checkpoint' -r
complete -c sandboxd -n "__fish_sandboxd_using_subcommand audit; and __fish_seen_subcommand_from show" -s n -l last -d 'Only the last N records; with --follow, these and new ones' -r
complete -c sandboxd -n "__fish_sandboxd_using_subcommand audit; and __fish_seen_subcommand_from show" -s f -l follow -d 'Follow: print new records as they are written, until interrupted'
complete -c sandboxd -n "__fish_sandboxd_using_subcommand audit; and __fish_seen_subcommand_from show" -l json -d 'Print each record as it was written, one JSON object per line'
complete -c sandboxd -n "__fish_sandboxd_using_subcommand audit; and __fish_seen_subcommand_from show" -s h -l help -d 'Print help'
complete -c sandboxd -n "__fish_sandboxd_using_subcommand audit; and __fish_seen_subcommand_from verify" -l from -d 'A file of checkpoints that was kept elsewhere; the log must match each' -r -F
complete -c sandboxd -n "__fish_sandboxd_using_subcommand audit; and __fish_seen_subcommand_from verify" -l json -d 'Print the findings as JSON'
complete -c sandboxd -n "__fish_sandboxd_using_subcommand audit; and __fish_seen_subcommand_from verify" -s h -l help -d 'Print help'
complete -c sandboxd -n "__fish_sandboxd_using_subcommand audit; and __fish_seen_subcommand_from export" -l format -d 'The format' -r -f -a "jsonl\t'The records as they were written'
cef\t'Common Event Format'
checkpoints\t'Only the signed checkpoints'"
complete -c sandboxd -n "__fish_sandboxd_using_subcommand audit; and __fish_seen_subcommand_from export" -l since -d 'Only records since WHEN: 30m, 6h, 2d, 2026-11-25 or 2026-11-25T15:00 (UTC)' -r
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
