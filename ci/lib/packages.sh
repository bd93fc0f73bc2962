# Installs what a script needs and this machine lacks, and says what it could not have. To be sourced.
#
#   packages_need nft=nftables /usr/share/thing=package vagrant-libvirt
#
# COMMAND=PACKAGE is there when the command is found, /FILE=PACKAGE when the file is, PACKAGE when it is installed.

# Debian keeps commands where an ordinary user's path, which sudo may hand on, does not lead.
[[ :$PATH: == *:/usr/sbin:* ]] || PATH=$PATH:/usr/sbin:/sbin

# packages_need NEED…: succeeds when all are there in the end. Nothing that is there is asked for again, removed
# or replaced by an older version.
packages_need() {
    local lacking
    mapfile -t lacking < <(packages_lacking "$@")
    if ((${#lacking[@]} == 0)); then
        echo "there already: $*"
        return
    fi
    echo "missing: ${lacking[*]}"
    if ! command -v apt-get >/dev/null; then
        echo "there is no apt-get here: install what gives these: ${lacking[*]}" >&2
        return 1
    fi
    if ((EUID != 0)); then
        echo "only root can install; as root: apt-get install ${lacking[*]##*=}" >&2
        return 1
    fi
    mapfile -t lacking < <(printf '%s\n' "${lacking[@]##*=}" | sort -u)
    packages_get "${lacking[@]}"
    mapfile -t lacking < <(packages_lacking "$@")
    ((${#lacking[@]} == 0)) && return
    echo "could not be had: ${lacking[*]}" >&2
    return 1
}

# Those of the needs that are not met, one on each line.
packages_lacking() {
    local need
    for need in "$@"; do
        case $need in
            /*=*) compgen -G "${need%%=*}" ;;
            *=*) command -v "${need%%=*}" ;;
            *) dpkg-query -W -f '${db:Status-Status}' "$need" 2>/dev/null | grep -x installed ;;
        esac >/dev/null || echo "$need"
    done
}

# packages_get PACKAGE…: all at once, or else each by itself in a version that fits what is installed.
packages_get() {
    local package choices tried why
    apt-get update -q || echo "apt-get update failed: going on with the lists there are" >&2
    packages_try '' "$@" && return
    echo "not all of them fit what is installed: one by one"
    packages_folder=$(mktemp -d)
    mapfile -t choices < <(packages_choices)
    for package in "$@"; do
        # It may have come with one before it; to ask for it again could replace it.
        [[ -n $(packages_lacking "$package") ]] || continue
        for tried in "${choices[@]}"; do
            packages_try "$tried" "$package" && continue 2
        done
        why=$(packages_apt '' --simulate "$package" 2>&1 | grep -E '^( |E:)' | tail -n 3) || true
        printf '%s: apt cannot install it beside what is there:\n%s\n' "$package" "$why" >&2
    done
    rm -rf "$packages_folder"
}

# packages_try CHOICE PACKAGE…: only if it succeeds and removes nothing, as a simulation shows.
packages_try() {
    local plan
    plan=$(packages_apt "$1" --simulate "${@:2}" 2>&1) || return
    ! grep -q '^Remv ' <<<"$plan" || return
    [[ -z $1 ]] || echo "${*:2}: from ${1##* }, which fits what is installed"
    packages_apt "$1" --yes "${@:2}"
}

# packages_apt CHOICE ARGUMENT…: another apt at work is waited for, for five minutes.
packages_apt() {
    # shellcheck disable=SC2086  # a choice is several words
    DEBIAN_FRONTEND=noninteractive apt-get install -q --no-install-recommends -o DPkg::Lock::Timeout=300 $1 "${@:2}"
}

# What apt may choose from, one choice of options on each line: what it prefers; each release that is configured
# and that it does not prefer; and the backports, where something from them is installed though they are not
# configured any more.
packages_choices() {
    local codename release
    echo
    # shellcheck source=/dev/null
    codename=$(. /etc/os-release && echo "${VERSION_CODENAME:-}")
    apt-get indextargets --format '$(CODENAME)' 'Created-By: Packages' | sort -u | while read -r release; do
        [[ $release == "$codename" ]] || echo "-t $release"
    done
    if dpkg-query -W -f '${Version}\n' | grep '~bpo' >/dev/null && packages_backports "$codename-backports" >&2; then
        echo "-o Dir::Etc::SourceParts=$packages_folder/sources -o Dir::State::Lists=$packages_folder/lists" \
            "-t $codename-backports"
    fi
}

# packages_backports RELEASE: lists of this release from this machine's mirror, beside the configured ones and for
# this one time: the machine's own sources stay as they are.
packages_backports() {
    local mirror keyring
    read -r mirror _ < <(debian_mirror) || return
    [[ -n $mirror ]] || return
    keyring=$(debian_keyring "$mirror")
    chmod 755 "$packages_folder"
    mkdir -p "$packages_folder/sources" "$packages_folder/lists"
    cp -r /etc/apt/sources.list.d/. "$packages_folder/sources/"
    cp -r /var/lib/apt/lists/. "$packages_folder/lists/"
    echo "deb${keyring:+ [signed-by=$keyring]} $mirror $1 main" >"$packages_folder/sources/c1m-backports.list"
    apt-get update -q -o "Dir::Etc::SourceParts=$packages_folder/sources" -o "Dir::State::Lists=$packages_folder/lists"
}

# The mirror that this machine installs Debian from, and the release; nothing where it is no Debian.
debian_mirror() {
    apt-get indextargets --format '$(ORIGIN)|$(LABEL)|$(REPO_URI) $(CODENAME)' 'Created-By: Packages' |
        sed -n '/^Debian|Debian|/ { s///; p; q }'
}

# debian_keyring MIRROR: the file of keys that the sources name for it, or else Debian's own; nothing if neither.
debian_keyring() {
    local file
    for file in $(grep -lsF "${1%/}" /etc/apt/sources.list /etc/apt/sources.list.d/*.{list,sources} |
        xargs -r grep -hoiE 'signed-by[:=] *[^] ]+' | sed 's/^[^:=]*[:=] *//') \
        /usr/share/keyrings/debian-archive-keyring.gpg; do
        [[ -f $file ]] && { echo "$file"; return; }
    done
    return 0
}
