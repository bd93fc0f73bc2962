# What a container needs, found by trying: each capability is taken away alone from all that a container can be
# given, then the ones that were missed are tried alone. To be sourced by ci/docker.

# Of these docker gives the first fourteen without being asked.
capabilities=(
    CHOWN DAC_OVERRIDE FSETID FOWNER MKNOD NET_RAW SETGID SETUID SETFCAP SETPCAP NET_BIND_SERVICE SYS_CHROOT KILL
    AUDIT_WRITE NET_ADMIN SYS_ADMIN SYS_RESOURCE SYS_PTRACE DAC_READ_SEARCH NET_BROADCAST IPC_LOCK IPC_OWNER
    SYS_MODULE SYS_NICE SYS_PACCT SYS_RAWIO SYSLOG PERFMON BPF
)

# A short run with echoes, and its agents' user.
short() {
    lab "$@" -- up labs/smoke.yaml --hold 600ms --set "name=$name" --quiet >"$scratch/short" 2>&1
}

# The user that the agents of a run are, seen from the host.
user_of_agents() {
    start "$@" -- up labs/smoke.yaml --hold 60s >/dev/null
    local user=none
    wait_until 20 told '^ ramp.*10,000' && user=$(docker top "$container" -eo pid,uid,args | awk '/ agent / { print $2 }' | sort -u)
    docker rm -f "$container" >/dev/null
    echo "$user"
}

with() {
    local name
    for name in "$@"; do printf -- '--cap-add\n%s\n' "$name"; done
}

# Every one of the capabilities but $1.
all_but() {
    local name
    for name in "${givable[@]}"; do [[ $name == "$1" ]] || printf -- '--cap-add\n%s\n' "$name"; done
}

row() { printf '%-46s %s\n' "$1" "$2"; }

why() { grep -m 1 -e '^error' -e '^docker:' "$scratch/short" | cut -c1-160; }

outcome() {
    if short "$@"; then echo works; else echo "fails: $(why)"; fi
}

# Whether the runner can end an agent that hangs.
hung() {
    set +e
    (set -e; stop_in_order hung) >"$scratch/hung" 2>&1
    local code=$?
    set -e
    if ((code == 0)); then echo yes; else echo "no: $(grep -o 'left .*' "$scratch/hung" | head -1)"; fi
}

find_capabilities() {
    local each options
    givable=()
    for each in "${capabilities[@]}"; do
        if docker run --rm --network none --cap-drop ALL --cap-add "$each" "$image" --version >/dev/null 2>&1; then
            givable+=("$each")
        else
            row "$each" 'this host cannot give it to a container'
        fi
    done
    echo
    mapfile -t options < <(all_but none)
    row "all ${#givable[@]} others" "$(outcome --cap-drop ALL "${options[@]}")"
    local missed=()
    for each in "${givable[@]}"; do
        mapfile -t options < <(all_but "$each")
        if ! short --cap-drop ALL "${options[@]}"; then
            missed+=("$each")
            row "all but $each" "fails: $(why)"
        fi
    done
    mapfile -t options < <(with "${missed[@]}")
    row "${missed[*]} alone" "$(outcome --cap-drop ALL "${options[@]}")"
    row 'none' "$(outcome --cap-drop ALL)"
    echo
    row 'agents are, with these alone, user' "$(user_of_agents --cap-drop ALL "${options[@]}")"
    for each in SETUID SETGID 'SETUID SETGID'; do
        # shellcheck disable=SC2086
        mapfile -t more < <(with $each)
        row "… with $each too, user" "$(user_of_agents --cap-drop ALL "${options[@]}" "${more[@]}")"
    done
    mapfile -t more < <(with SETUID SETGID)
    for each in '' KILL; do
        nobody=(--cap-drop ALL "${options[@]}" "${more[@]}")
        [[ -z $each ]] || nobody+=(--cap-add "$each")
        row "a hung agent is ended, SETUID SETGID $each" "$(hung)"
    done
    mkdir -p "$scratch/other" && chown 12345 "$scratch/other"
    for each in '' DAC_OVERRIDE; do
        local folder=(-v "$scratch/other:/lab/runs")
        [[ -z $each ]] || folder+=(--cap-add "$each")
        row "a report folder of another user's ${each:+with $each}" "$(outcome --cap-drop ALL "${options[@]}" "${folder[@]}")"
    done
    echo
    local fewest=(--cap-drop ALL "${options[@]}")
    row 'read-only, /run and runs as tmpfs' "$(outcome "${fewest[@]}" --read-only --tmpfs /run --tmpfs /lab/runs)"
    row 'no-new-privileges' "$(outcome "${fewest[@]}" --security-opt no-new-privileges)"
    row 'seccomp=unconfined' "$(outcome "${fewest[@]}" --security-opt seccomp=unconfined)"
    row 'pids-limit 64' "$(outcome "${fewest[@]}" --pids-limit 64)"
    row 'memory 256m' "$(outcome "${fewest[@]}" --memory 256m)"
    # In a user namespace of its own: not for root, and not where parts of /proc are hidden.
    local nothing=(--cap-drop ALL --user 1000 --tmpfs /lab/runs:mode=1777,uid=1000 --security-opt seccomp=unconfined)
    row 'user 1000, no capability, seccomp=unconfined' "$(outcome "${nothing[@]}")"
    row '… and systempaths=unconfined' "$(outcome "${nothing[@]}" --security-opt systempaths=unconfined)"
}
