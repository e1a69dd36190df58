# Several hosts on one machine, for tests that need root: each a network namespace with an address of its own,
# joined to the others by a bridge, and processes in it see a host name of their own. Files are shared, as on a
# cluster's file system.
#
#     hosts_make N          hosts h1 ... hN, in $hosts; prints why and fails where that cannot be
#     hosts_on HOST COMMAND...   runs it there
#     hosts_mpirun FROM HOST:SLOTS... -- OPTION... COMMAND...   mpirun itself runs on FROM
#     hosts_shape HOST RATE      what it sends goes no faster (tbf), "50mbit"
#     hosts_cut HOST, hosts_mend HOST   takes it off the bridge, and puts it back
#     hosts_remove          and what still runs there
#
# $scratch is a folder. Open MPI notices a cut by its settings alone: doc/reliability.md says which, and the tests
# run with these.
hosts=
hosts_tag=mb$$

hosts_settings="--mca oob_tcp_keepalive_time 2 --mca oob_tcp_keepalive_intvl 1 --mca oob_tcp_keepalive_probes 2"

hosts_space() {
    echo "$hosts_tag$1"
}

# The agent gets options, a host and a command for its shell, as ssh does.
hosts_agent() {
    cat >"$scratch/agent" <<END
#!/bin/sh
while [ "\${1#-}" != "\$1" ]; do shift; done
host=\$1
shift
exec nsenter --net=/run/netns/$hosts_tag\$host unshare -u sh -c "hostname \$host; \$*"
END
    chmod +x "$scratch/agent"
}

hosts_try() {
    "$@" 2>"$scratch/hosts.err" && return
    echo "$*: $(tail -n 1 "$scratch/hosts.err")"
    return 1
}

hosts_add() {
    host=h$1 space=$(hosts_space "h$1")
    hosts_try ip netns add "$space" || return 1
    hosts="$hosts $host"
    hosts_try ip link add eth0 netns "$space" type veth peer name "$host" netns "$(hosts_space b)" &&
        hosts_try ip -n "$(hosts_space b)" link set "$host" master bridge up &&
        hosts_try ip -n "$space" address add "10.77.0.$1/24" dev eth0 &&
        hosts_try ip -n "$space" link set eth0 up && hosts_try ip -n "$space" link set lo up &&
        hosts_try ip netns exec "$space" sysctl -qw net.ipv4.tcp_retries2=3
}

hosts_make() {
    for tool in ip nsenter unshare; do
        command -v $tool >/dev/null || { echo "$tool is not installed" && return 1; }
    done
    [ "$(id -u)" -eq 0 ] || { echo "only root makes namespaces" && return 1; }
    hosts_try unshare -n -u true && hosts_try ip netns add "$(hosts_space b)" || return 1
    hosts_try ip -n "$(hosts_space b)" link add bridge type bridge forward_delay 0 &&
        hosts_try ip -n "$(hosts_space b)" link set bridge up || return 1
    for host in $(seq "$1"); do hosts_add "$host" || return 1; done
    hosts_agent
}

hosts_on() {
    at=$1
    shift
    nsenter --net="/run/netns/$(hosts_space "$at")" unshare -u sh -c 'hostname "$0" && exec "$@"' "$at" "$@"
}

hosts_mpirun() {
    from=$1 list=$2
    shift 2
    while [ "$1" != -- ]; do
        list=$list,$1
        shift
    done
    shift
    # shellcheck disable=SC2086
    hosts_on "$from" "$MPIEXEC" -host "$list" --mca plm rsh --mca plm_rsh_agent "$scratch/agent" \
        --mca btl tcp,self,vader --mca btl_tcp_if_include eth0 --mca oob_tcp_if_include eth0 $hosts_settings "$@"
}

hosts_shape() {
    ip netns exec "$(hosts_space "$1")" tc qdisc replace dev eth0 root tbf rate "$2" burst 64kb latency 100ms
}

hosts_cut() {
    ip -n "$(hosts_space b)" link set "$1" down
}

# Addresses that were asked for in vain would not be asked for again for a while.
hosts_mend() {
    ip -n "$(hosts_space b)" link set "$1" up
    for host in $hosts; do ip -n "$(hosts_space "$host")" neigh flush dev eth0; done
}

hosts_remove() {
    for host in $hosts b; do
        space=$(hosts_space "$host")
        for process in $(ip netns pids "$space" 2>/dev/null); do kill -KILL "$process"; done
        ip netns delete "$space" 2>/dev/null
    done
    hosts=
}
