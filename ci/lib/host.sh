# What a run could leave on this host, as lines of text that can be compared. To be sourced.

# host_state NAME: NAME is what everything of ours has in its name. Labs of others that come and go
# meanwhile are left out, so that only what this script made, and the host's own, is compared.
host_state() {
    {
        ip -o link 2>/dev/null | awk '{ print "link", $2 }' || true
        # Not there before the first namespace is made.
        find /run/netns -mindepth 1 -name "*$1*" -printf 'namespace %p\n' 2>/dev/null || true
        awk '{ print "mount", $2, $3 }' /proc/self/mounts | without_other_labs
        awk '{ print "mount", $2, $3 }' /proc/self/mounts | { grep -e "$1" || true; }
        # Groups of others may go while they are looked for.
        find /sys/fs/cgroup -type d 2>/dev/null | without_other_labs | sed 's/^/cgroup /' || true
        find /sys/fs/cgroup -type d -name "*$1*" -printf 'cgroup %p\n' 2>/dev/null || true
        pgrep -f -- "$1" 2>/dev/null | grep -vx "$$" | sed 's/^/process /' || true
        host_settings
    } | sort
}

without_other_labs() { grep -v -e /c1m- -e /run/c1m-lab || true; }

# The settings that a lab, or docker, might change; not those the kernel changes by itself, as it does the key of
# fast open when the first program asks for it.
host_settings() {
    local file
    for file in /proc/sys/fs/{file-max,nr_open} /proc/sys/kernel/{pid_max,threads-max} /proc/sys/vm/max_map_count \
        /proc/sys/net/netfilter/nf_conntrack_max $(find /proc/sys/net/core /proc/sys/net/ipv4 -type f \
            ! -name tcp_fastopen_key 2>/dev/null); do
        [[ -r $file ]] && printf 'setting %s %s\n' "${file#/proc/sys/}" "$(tr '\0' ' ' <"$file" 2>/dev/null)"
    done
    return 0
}

# host_is_as FILE NAME: compares with the state in FILE; what is on its way out gets a few seconds.
host_is_as() {
    local until=$((SECONDS + 15))
    while ((SECONDS < until)); do
        host_state "$2" >"$1.now"
        cmp -s "$1" "$1.now" && return
        sleep 0.2
    done
    diff "$1" "$1.now" | grep '^[<>]'
    return 1
}
