# Bare Debian roots for campaigns: made by debootstrap, entered in namespaces of their own.

# new_root FOLDER PACKAGE...: of this machine's release, with what reaches the packages from here.
new_root() {
    new=$1
    shift
    [ ! -e "$new/complete" ] || return 0
    . /etc/os-release
    mirror=${MB_DEBIAN_MIRROR-$(apt-get indextargets --format '$(REPO_URI)' 'Created-By: Packages' | sed -n 1p)}
    rm -rf "$new"
    debootstrap --variant=minbase "$VERSION_CODENAME" "$new" "$mirror" || return 1
    for file in /etc/resolv.conf /etc/ssl/certs/ca-certificates.crt; do
        [ ! -e "$file" ] || { mkdir -p "$new${file%/*}" && cp -L "$file" "$new$file"; } || return 1
    done
    cp -R /etc/apt/apt.conf.d "$new/etc/apt/" || return 1
    inside "$new" / apt-get -q update &&
        inside "$new" / apt-get -q -y --no-install-recommends install "$@" &&
        touch "$new/complete"
}

# inside ROOT FOLDER COMMAND...: in a namespace of its own for processes and mounts, which ends with it.
inside() {
    inside_root=$1 inside_folder=$2
    shift 2
    unshare --mount --pid --fork --kill-child sh -c '
        cd "$1" && folder=$2 && shift 2 && mount -t proc proc proc && mount --rbind /dev dev &&
            mount --rbind /sys sys && mount -t tmpfs tmpfs dev/shm &&
            exec chroot . sh -c "cd \"\$0\" && exec \"\$@\"" "$folder" "$@"' sh "$inside_root" "$inside_folder" \
        env -i PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin HOME=/root DEBIAN_FRONTEND=noninteractive \
        OMPI_ALLOW_RUN_AS_ROOT=1 OMPI_ALLOW_RUN_AS_ROOT_CONFIRM=1 LC_ALL=C \
        $(env | grep -i '^[a-z]*_proxy=\|^CFLAGS=') "$@" </dev/null
}

# step NAME COMMAND...: once; its output goes to $folder/NAME.log, a line to $results.
step() {
    name=$1
    shift
    grep -q "^| $name |" "$results" && return
    began=$(date +%s)
    if "$@" >"$folder/$name.log" 2>&1; then code=0; else code=$?; fi
    echo "| $name | $code | $(($(date +%s) - began)) s | $(tail -n 1 "$folder/$name.log" | cut -c1-60) |" >>"$results"
    [ "$code" -eq 0 ] || { tail -n 20 "$folder/$name.log" >&2 && exit 1; }
}

show_steps() {
    echo "| step | exit code | took | ended with |"
    echo "|---|---|---|---|"
    cat "$results"
}
