# Checks out the session's commit, then executes its remaining arguments. Used for images that several commits share: the session's
# folder in such an image has only the files that the environment's key covers. /bin/sh runs this script before the image's entry
# point. Before the last line, it never searches for programs or configuration in folders with files of a commit.
# Arguments: the commit, its clone address, the ref that the link names, then a command.

fail() {
    echo "$1" >&2
    printf 'bindery content: %s' "$1" 2>/dev/null >/dev/termination-log
    exit 76
}

clean_path() { # removes from PATH relative folders and folders with files of a commit
    rest=$PATH: clean=
    while [ -n "$rest" ]; do
        entry=${rest%%:*} rest=${rest#*:}
        case $entry in
            "${HOME:-/home}" | "${HOME:-/home}"/* | "$folder" | "$folder"/*) ;;
            /*) clean=$clean${clean:+:}$entry ;;
        esac
    done
    PATH=$clean
}

quiet_git() { # git with only these settings; for at most $limit seconds, if $limit is set
    ${limit:+timeout "$limit"} git -c protocol.allow=never -c protocol.https.allow=always -c protocol.http.allow=always -c credential.helper= \
        -c core.hooksPath=/dev/null -c fetch.recurseSubmodules=false -c submodule.recurse=false \
        -c http.lowSpeedLimit=1000 -c http.lowSpeedTime=60 "$@"
}

bring() { # runs git; if it fails, its first "fatal:" line is the reason
    words=$(quiet_git "$@" 2>&1) ||
        fail "$(printf '%s\n' "$words" | grep -m 1 '^fatal: ' || printf '%s\n' "$words" | tail -n 1)"
}

as_stored() { # checks out HEAD's files with command $1, without the conversions of .gitattributes
    mkdir .git/info &&
        echo '* -text -ident -filter -working-tree-encoding' >.git/info/attributes &&
        "$1" reset -q --hard && # removes other files in the way of HEAD's files
        rm -r .git/info
}

web_address() { # prints the web address of a submodule; false if it has none. $1: its address in .gitmodules, $2: the parent's address
    case $1 in
        ./* | ../*)
            step=$1 base=${2%/}
            while :; do
                case $step in
                    ./*) step=${step#./} ;;
                    ../*) step=${step#../} base=${base%/*} ;;
                    *) break ;;
                esac
            done
            printf '%s\n' "$base/$step"
            ;;
        http://* | https://*)
            rest=${1#*://} host=${rest%%/*}
            printf '%s\n' "${1%%://*}://${host##*@}/${rest#*/}"
            ;;
        ssh://* | git://* | git+ssh://*)
            rest=${1#*://} host=${rest%%/*} host=${host##*@}
            printf '%s\n' "https://${host%%:*}/${rest#*/}"
            ;;
        *://* | *::* | -*) return 1 ;;
        *@*:*)
            host=${1%%:*} path=${1#*:}
            printf '%s\n' "https://${host#*@}/${path#/}"
            ;;
        *) return 1 ;;
    esac
}

submodules() { # checks out the submodules of the repository in this folder, without `git submodule`. $1: its address, $2: its depth
    [ -f .gitmodules ] && [ ! -h .gitmodules ] && [ "$2" -lt 3 ] || return 0
    listed --name-only --get-regexp '^submodule\..*\.path$' | head -n 50 | while IFS= read -r key; do
        name=${key#submodule.} name=${name%.path}
        path=$(listed "submodule.$name.path") && from=$(listed "submodule.$name.url") || continue
        [ "$(listed "submodule.$name.update")" != none ] || continue # other values may be commands
        entry=$(git ls-files -s -- ":(top,literal)$path" | head -n 1)
        commit=${entry#160000 } commit=${commit%% *}
        [ "$entry" != "${entry#160000 }" ] || continue # this commit has no such submodule
        (submodule "$from" "$path" "$commit" "$1" "$2") || {
            echo "The submodule $path ($from) is missing and its folder is empty." >&2
            rm -rf -- "./$path" && mkdir -p -- "./$path"
        }
    done
}

submodule() { # runs in a subshell. $1: its address in .gitmodules, $2: its path, $3: commit, $4, $5: the parent's address and depth
    address=$(web_address "$1" "$4") && cd -- "./$2" && quiet_git init -q --template= . || return 1
    quiet_git remote add -- origin "$address" || return 1
    limit=$(seconds 60) quiet_git -c http.lowSpeedTime=20 fetch -q --depth 1 --no-tags origin "$3" 2>/dev/null || return 1
    quiet_git update-ref --no-deref HEAD "$3" && as_stored quiet_git && submodules "$address" $(($5 + 1))
}

seconds() { # prints $1 if the image has the command `timeout`
    command -v timeout >/dev/null && echo "$1"
}

listed() { # prints values of .gitmodules, without included files
    git config -f .gitmodules --no-includes "$@"
}

history() { # runs in a subshell. Adds to the commit $1 the history and refs of a clone, without files. $2: the ref that the link names
    limit=$(seconds 15) tab=$(printf '\t') name=${2#refs/heads/} branch=
    offer=$(GIT_TRACE_PACKET=1 quiet_git ls-remote --symref origin HEAD "refs/heads/$name" "refs/tags/$name" 2>&1 |
        grep -e "^[^ ]*${tab}refs/" -e "^ref: refs/heads/[^ ]*${tab}HEAD\$" \
            -e ' packet: [^<]*< fetch=.*filter' -e ' packet: [^<]*< .*\\0.* filter') # filters, as protocol 2 and older ones offer them
    printf '%s\n' "$offer" | grep -q ' packet: ' || return 1 # without filters, the server would send all files of all commits
    quiet_git fetch -q --depth 20000 --filter=tree:0 origin "$1:refs/bindery/commit" 2>/dev/null || return 1
    quiet_git update-ref -d refs/bindery/commit
    default=$(printf '%s\n' "$offer" | sed -n "s|^ref: refs/heads/\(.*\)${tab}HEAD\$|\1|p")
    refs=$(printf '%s\n' "$offer" | cut -s -f 2)
    case $name in
        HEAD) branch=$default ;;
        *) if printf '%s\n' "$refs" | grep -qxF "refs/heads/$name"; then branch=$name; fi ;;
    esac
    case $name in
        main | master) [ -n "$branch$(printf '%s\n' "$refs" | grep -xF "refs/tags/$name")" ] || branch=$default ;;
    esac
    if [ -n "$branch" ]; then follow "$1" "$branch" "$default" || echo "The working copy is not on its branch." >&2; fi
}

follow() { # sets the branch $2 to the commit $1, with its upstream branch. $3: the repository's default branch
    quiet_git update-ref "refs/heads/$2" "$1" && quiet_git update-ref "refs/remotes/origin/$2" "$1" || return 1
    quiet_git config "branch.$2.remote" origin && quiet_git config "branch.$2.merge" "refs/heads/$2" || return 1
    [ "$2" != "$3" ] || quiet_git symbolic-ref refs/remotes/origin/HEAD "refs/remotes/origin/$2"
    quiet_git symbolic-ref HEAD "refs/heads/$2"
}

unpack() { # unpacks the commit from the image; false if the image does not have it, or if a file cannot be written
    [ -f "$carried/$ref.tar" ] && tar -x -o -f "$carried/$ref.tar"
}

fetch() { # fetches and checks out the commit's own bytes, as a build does: without the conversions of .gitattributes
    command -v git >/dev/null || fail "git is not in the image"
    echo "Bringing files to $ref ..." >&2
    rm -rf .git
    bring init -q --template= .
    bring fetch -q --depth 1 --no-tags -- "$url" "$ref"
    bring update-ref --no-deref HEAD FETCH_HEAD
    bring remote add -- origin "$url"
    as_stored bring
    submodules "$url" 0
    (history "$ref" "$link") || {
        echo "The working copy has no history and no tags. In a terminal, git fetch --unshallow --tags gets them." >&2
        rm -f .git/objects/pack/tmp_*
        for key in remote.origin.promisor remote.origin.partialclonefilter extensions.partialclone; do
            quiet_git config --unset-all "$key"
        done
    }
}

checkout() { # runs in a subshell: its variables do not reach the session
    ref=$1 url=$2 link=$3 limit= folder=${REPO_DIR:-.} carried=/var/lib/bindery/content
    clean_path
    HOME=/nonexistent XDG_CONFIG_HOME=/nonexistent
    GIT_CONFIG_NOSYSTEM=1 GIT_CONFIG_GLOBAL=/dev/null GIT_ATTR_NOSYSTEM=1 GIT_TERMINAL_PROMPT=0
    export PATH HOME XDG_CONFIG_HOME GIT_CONFIG_NOSYSTEM GIT_CONFIG_GLOBAL GIT_ATTR_NOSYSTEM GIT_TERMINAL_PROMPT
    umask 022
    cd "$folder" || fail "its folder is not in the image"
    unpack || fetch
    rm -rf "$carried"/*
    [ -z "${R2D_ENTRYPOINT:-}" ] || chmod +x "$R2D_ENTRYPOINT" # as in a build by repo2docker
}

trap 'exit 143' TERM # exits at once, also during a fetch
checkout "$1" "$2" "$3" &
wait "$!" || exit
trap - TERM
shift 3
exec "$@"
