# Lays out the session's commit, then becomes the rest of its arguments. /bin/sh runs it before the image's entry point. Until
# its last line it looks for no program, and reads no configuration, in folders that hold files of a commit.
# Arguments: `files` or `git`, the commit, its clone address, then a command.
# files: the image holds, of any commit, only the files that its key covers. The commit is unpacked if the image carries it,
#   else fetched. What the image carries is removed either way.
# git: the image holds the files of a commit with an equal tree. Only git's own folder is made anew.
fail() {
    echo "$1" >&2
    printf 'bindery content: %s' "$1" 2>/dev/null >/dev/termination-log
    exit 76
}

search_path() { # PATH without relative folders, and without those that a commit's files may be in
    left=$PATH: clean=
    while [ -n "$left" ]; do
        entry=${left%%:*} left=${left#*:}
        case $entry in
            "${HOME:-/home}" | "${HOME:-/home}"/* | "$folder" | "$folder"/*) ;;
            /*) clean=$clean${clean:+:}$entry ;;
        esac
    done
    printf '%s' "$clean"
}

bring() { # runs git, whose settings are these alone; if it fails, its first fatal words are the reason
    words=$(git -c protocol.allow=never -c protocol.https.allow=always -c protocol.http.allow=always -c credential.helper= \
        -c core.hooksPath=/dev/null -c http.lowSpeedLimit=1000 -c http.lowSpeedTime=60 "$@" 2>&1) ||
        fail "$(printf '%s\n' "$words" | grep -m 1 '^fatal: ' || printf '%s\n' "$words" | tail -n 1)"
}

fetch() {
    rm -rf .git
    command -v git >/dev/null || { [ "$what" = git ] && return; fail "git is not in the image"; }
    echo "Bringing files to $ref ..." >&2
    bring init -q --template= .
    bring fetch -q --depth 1 --no-tags -- "$url" "$ref"
    bring update-ref --no-deref HEAD FETCH_HEAD
    bring remote add -- origin "$url"
    case $what in
        git) bring reset -q --mixed ;;
        files) check_out ;;
    esac
}

check_out() { # the commit's own bytes, as a build lays them out: without conversions that .gitattributes names
    mkdir .git/info
    echo '* -text -ident -filter -working-tree-encoding' >.git/info/attributes
    bring reset -q --hard # removes what is in a file's way
    rm -r .git/info
    if [ -e .gitmodules ]; then
        bring submodule -q update --init --recursive --depth 1
    fi
}

unpack() { # false if the image does not carry the commit
    [ -f "$carried/$ref.tar" ] && tar -x -o -f "$carried/$ref.tar"
}

lay_out() { # in a process of its own: its variables are not the session's
    what=$1 ref=$2 url=$3 folder=${REPO_DIR:-.} carried=/var/lib/bindery/content
    PATH=$(search_path) HOME=/nonexistent XDG_CONFIG_HOME=/nonexistent
    GIT_CONFIG_NOSYSTEM=1 GIT_CONFIG_GLOBAL=/dev/null GIT_ATTR_NOSYSTEM=1 GIT_TERMINAL_PROMPT=0
    export PATH HOME XDG_CONFIG_HOME GIT_CONFIG_NOSYSTEM GIT_CONFIG_GLOBAL GIT_ATTR_NOSYSTEM GIT_TERMINAL_PROMPT
    umask 022
    cd "$folder" || fail "its folder is not in the image"
    case $what in
        git) [ ! -e .git ] || fetch ;;
        files)
            unpack || fetch
            rm -rf "$carried"/*
            [ -z "${R2D_ENTRYPOINT:-}" ] || chmod +x "$R2D_ENTRYPOINT" # as repo2docker does when it builds
            ;;
    esac
}

trap 'exit 143' TERM # at once, also while a fetch lasts
lay_out "$1" "$2" "$3" &
wait "$!" || exit
trap - TERM
shift 3
exec "$@"
