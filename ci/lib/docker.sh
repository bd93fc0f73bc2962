# A docker daemon of one's own: nothing of the host's network is touched, and it goes without a trace.
# To be sourced, with packages.sh. The caller calls `docker_start FOLDER` and, in its EXIT trap, `docker_stop`.

# Names that nobody else has: several of these scripts may run at once.
docker_group=/c1m-ci-docker-$$

# Its own client: another one in the path may be too new for it.
docker() {
    env DOCKER_HOST="unix://$docker_folder/socket" DOCKER_CONFIG="$docker_folder/config" DOCKER_BUILDKIT=0 \
        "$docker_client" "$@"
}

docker_install() {
    [[ -n $(docker_programs) ]] && return
    packages_need dockerd=docker.io || return
    # Newer releases have the client in a package of its own.
    [[ -n $(docker_programs) ]] || packages_need docker=docker-cli
}

# Daemon and client, where both are there.
docker_programs() {
    local daemon client
    daemon=$(PATH=$PATH:/usr/sbin:/sbin command -v dockerd) || return 0
    client=/usr/bin/docker
    [[ -x $client ]] || client=$(command -v docker) || return 0
    echo "$daemon $client"
}

docker_start() {
    docker_folder=$1
    local daemon
    read -r daemon docker_client < <(docker_programs)
    mkdir -p "$docker_folder/config"
    # The daemon leaves a key there, wherever its data is.
    docker_key=
    [[ -e /etc/docker/key.json ]] || docker_key=/etc/docker/key.json
    local driver
    for driver in overlay2 vfs; do
        docker_try "$daemon" "$driver" && return
        docker_end_daemon
    done
    echo "dockerd does not start:" >&2
    tail -20 "$docker_folder/log" >&2
    return 1
}

docker_try() {
    # No bridge, no firewall rules, no forwarding: the host's network stays as it is.
    setsid "$1" --storage-driver "$2" --host "unix://$docker_folder/socket" --data-root "$docker_folder/data" \
        --exec-root "$docker_folder/exec" --pidfile "$docker_folder/pid" --cgroup-parent "$docker_group" \
        --bridge=none --iptables=false --ip6tables=false \
        --ip-forward=false --ip-masq=false --userland-proxy=false >"$docker_folder/log" 2>&1 </dev/null &
    docker_pid=$!
    for _ in {1..150}; do
        docker version >/dev/null 2>&1 && return
        kill -0 "$docker_pid" 2>/dev/null || return 1
        sleep 0.1
    done
    return 1
}

docker_end_daemon() {
    [[ -n ${docker_pid:-} ]] || return 0
    kill "$docker_pid" 2>/dev/null || true
    for _ in {1..200}; do
        kill -0 "$docker_pid" 2>/dev/null || break
        sleep 0.1
    done
    kill -KILL "$docker_pid" 2>/dev/null || true
    wait "$docker_pid" 2>/dev/null || true
    docker_pid=
}

# Ends containers, daemon and cgroups, and removes its data. Safe to call at any time, and twice.
docker_stop() {
    [[ -n ${docker_folder:-} ]] || return 0
    if [[ -n ${docker_pid:-} ]]; then
        docker ps -aq 2>/dev/null | while read -r container; do docker rm -f "$container" >/dev/null 2>&1; done
        docker_end_daemon
    fi
    local mount group
    awk -v folder="$docker_folder/" 'index($2, folder) == 1 { print $2 }' /proc/self/mounts | tac |
        while read -r mount; do umount -l "$mount" || true; done
    find /sys/fs/cgroup -depth -type d -path "*$docker_group*" 2>/dev/null |
        while read -r group; do rmdir "$group" 2>/dev/null || true; done
    if [[ -n $docker_key ]]; then
        rm -f "$docker_key"
        rmdir --ignore-fail-on-non-empty "${docker_key%/*}" 2>/dev/null || true
    fi
    rm -rf "$docker_folder"
    docker_folder=
}

# A local image that stands in for a registry's `rust`: a small Debian, this host's toolchain, and the crates.
# Prints its name.
docker_stand_in() {
    local root=$docker_folder/stand-in toolchain mirror release
    toolchain=$(rustc --print sysroot)
    {
        packages_need debootstrap=debootstrap
        cargo fetch --locked
        read -r mirror release < <(debian_mirror)
        debootstrap --variant=minbase --include=gcc,libc6-dev "$release" "$root" "$mirror" \
            >"$docker_folder/debootstrap.log"
        mkdir -p "$root/usr/local/cargo/registry"
        cp -a "${CARGO_HOME:-$HOME/.cargo}"/registry/{index,cache} "$root/usr/local/cargo/registry/"
        tar -C "$toolchain" -c bin lib | tar -C "$root/usr/local" -x
    } >&2
    tar -C "$root" -c . |
        docker import --change 'ENV CARGO_HOME=/usr/local/cargo CARGO_NET_OFFLINE=true' - c1m-rust-stand-in >/dev/null
    rm -rf "$root"
    echo c1m-rust-stand-in
}
