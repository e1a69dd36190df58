# A Slurm of its own on this machine, for tests: one controller and two nodes, everything in a temporary
# folder and on ports of its own. Sourced; needs root, munged, slurmctld and slurmd.
#
#   cluster_missing   prints why no cluster can be had, or nothing
#   cluster_start D   brings it up under folder D and exports SLURM_CONF
#   cluster_stop      ends its jobs and daemons, and nothing else

cluster_missing() {
    if [ "$(uname)" != Linux ] || [ "$(id -u)" -ne 0 ]; then
        echo "a Slurm cluster of our own needs root"
        return
    fi
    PATH=$PATH:/usr/sbin:/sbin
    for tool in munged slurmctld slurmd sbatch srun scontrol scancel squeue; do
        if ! command -v "$tool" >/dev/null; then
            echo "$tool is not installed (packages slurm-wlm and munge)"
            return
        fi
    done
}

# port_is_free PORT: nobody has it now.
port_is_free() {
    ! grep -qi ":$(printf %04X "$1") " /proc/net/tcp /proc/net/tcp6 2>/dev/null
}

# Three in a row, below those that the system gives to connections; another cluster's process number gives others.
cluster_port() {
    port=$((10000 + $$ * 7 % 22000))
    until port_is_free "$port" && port_is_free $((port + 1)) && port_is_free $((port + 2)); do
        port=$((10000 + (port - 10000 + 7) % 22000))
    done
}

cluster_conf() {
    host=$(hostname -s)
    cluster_port
    cat <<END
ClusterName=test
SlurmctldHost=$host(127.0.0.1)
SlurmctldPort=$port
SlurmUser=root
SlurmdUser=root
AuthType=auth/munge
AuthInfo=socket=$cluster/munge.sock,cred_expire=5
CredType=cred/munge
StateSaveLocation=$cluster/state
SlurmdSpoolDir=$cluster/spool/%n
TmpFS=$cluster/tmp/%n
SlurmctldPidFile=$cluster/slurmctld.pid
SlurmdPidFile=$cluster/slurmd-%n.pid
SlurmctldLogFile=$cluster/slurmctld.log
SlurmdLogFile=$cluster/slurmd-%n.log
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
JobAcctGatherType=jobacct_gather/none
AccountingStorageType=accounting_storage/none
SelectType=select/cons_tres
SelectTypeParameters=CR_Core
PropagateResourceLimits=NONE
ReturnToService=2
SlurmdParameters=config_overrides
SchedulerParameters=sched_interval=2,batch_sched_delay=0
KillWait=5
SlurmdTimeout=20
MpiDefault=pmix
GresTypes=gpu
PreemptType=preempt/partition_prio
PreemptMode=REQUEUE
NodeName=n1 NodeHostname=$host NodeAddr=127.0.0.1 Port=$((port + 1)) CPUs=8 RealMemory=4000 Gres=gpu:2
NodeName=n2 NodeHostname=$host NodeAddr=127.0.0.1 Port=$((port + 2)) CPUs=8 RealMemory=4000 Gres=gpu:2
PartitionName=p Nodes=ALL Default=YES State=UP PriorityTier=5 PreemptMode=off
PartitionName=preemptible Nodes=ALL State=UP PriorityTier=1 GraceTime=60
PartitionName=urgent Nodes=n2 State=UP PriorityTier=9
END
}

# Daemons stay in the foreground of a background job, so that their process ids are known.
cluster_daemon() {
    "$@" >>"$cluster/daemons.log" 2>&1 </dev/null &
    cluster_pids="$! $cluster_pids"
}

cluster_start() {
    cluster=$1
    cluster_pids=
    mkdir -p "$cluster/state" "$cluster/spool/n1" "$cluster/spool/n2" "$cluster/tmp/n1" "$cluster/tmp/n2"
    chmod 755 "$cluster"
    cluster_conf >"$cluster/slurm.conf"
    # Slurm wants devices to count GPUs by, and looks at no more than that they are there.
    cat >"$cluster/gres.conf" <<END
AutoDetect=off
NodeName=n[1-2] Name=gpu File=/dev/zero
NodeName=n[1-2] Name=gpu File=/dev/full
END
    export SLURM_CONF="$cluster/slurm.conf"
    # Both nodes are this host: Open MPI's shared memory segments would take each other's names.
    export OMPI_MCA_btl=tcp,self OMPI_MCA_btl_tcp_if_include=lo
    (umask 077 && head -c 1024 /dev/urandom >"$cluster/munge.key")
    cluster_daemon munged --foreground --force --key-file="$cluster/munge.key" \
        --socket="$cluster/munge.sock" --pid-file="$cluster/munge.pid" \
        --log-file="$cluster/munge.log" --seed-file="$cluster/munge.seed"
    wait_until 20 test -S "$cluster/munge.sock" || return 1
    cluster_daemon slurmctld -D -c
    cluster_daemon slurmd -D -N n1
    cluster_daemon slurmd -D -N n2
    wait_until 60 cluster_ready
}

cluster_ready() {
    [ "$(timeout 10 sinfo -h -N -p p -o %t 2>/dev/null | grep -c '^idle$')" -eq 2 ]
}

# Step daemons and what they started may outlive slurmd; they are known by the configuration in their environment.
cluster_stragglers() {
    for environ in /proc/[0-9]*/environ; do
        [ -r "$environ" ] || continue
        tr '\0' '\n' 2>/dev/null <"$environ" | grep -q "^SLURM_CONF=$cluster/slurm.conf$" || continue
        pid=${environ#/proc/}
        pid=${pid%/environ}
        case $(cat "/proc/$pid/comm" 2>/dev/null) in
        slurmstepd | slurm_script | srun | mbrun) echo "$pid" ;;
        esac
    done
}

cluster_stop() {
    [ -n "${cluster-}" ] || return 0
    for job in $(timeout 10 squeue -h -o %i 2>/dev/null); do
        timeout 10 scancel --full --signal=KILL "$job" 2>/dev/null
        timeout 10 scancel "$job" 2>/dev/null
    done
    wait_until 15 cluster_empty
    for pid in $cluster_pids; do
        kill "$pid" 2>/dev/null
    done
    wait_until 10 cluster_daemons_gone || for pid in $cluster_pids; do
        kill -KILL "$pid" 2>/dev/null
    done
    for pid in $(cluster_stragglers 2>/dev/null); do
        kill -KILL "$pid" 2>/dev/null
    done
    cluster=
}

cluster_empty() { [ -z "$(timeout 10 squeue -h 2>/dev/null)" ]; }

cluster_daemons_gone() {
    for pid in $cluster_pids; do
        ! kill -0 "$pid" 2>/dev/null || return 1
    done
}

# wait_until SECONDS COMMAND...: tries the command five times a second.
wait_until() {
    tries=$(($1 * 5))
    shift
    while [ "$tries" -gt 0 ]; do
        "$@" && return 0
        tries=$((tries - 1))
        sleep 0.2
    done
    return 1
}
