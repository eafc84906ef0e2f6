# Lays out the session's commit, then becomes the rest of its arguments. For images that several commits share: of any commit
# such an image holds, where a session reads, only the files that its key covers. /bin/sh runs this before the image's entry
# point. Until the last line it looks for no program, and reads no configuration, in folders that hold files of a commit.
# Arguments: the commit, its clone address, then a command.

fail() {
    echo "$1" >&2
    printf 'bindery content: %s' "$1" 2>/dev/null >/dev/termination-log
    exit 76
}

clean_path() { # sets PATH without relative folders, and without those that a commit's files may be in
    left=$PATH: clean=
    while [ -n "$left" ]; do
        entry=${left%%:*} left=${left#*:}
        case $entry in
            "${HOME:-/home}" | "${HOME:-/home}"/* | "$folder" | "$folder"/*) ;;
            /*) clean=$clean${clean:+:}$entry ;;
        esac
    done
    PATH=$clean
}

bring() { # runs git, whose settings are these alone; if it fails, its first fatal words are the reason
    words=$(git -c protocol.allow=never -c protocol.https.allow=always -c protocol.http.allow=always -c credential.helper= \
        -c core.hooksPath=/dev/null -c http.lowSpeedLimit=1000 -c http.lowSpeedTime=60 "$@" 2>&1) ||
        fail "$(printf '%s\n' "$words" | grep -m 1 '^fatal: ' || printf '%s\n' "$words" | tail -n 1)"
}

unpack() { # false if the image does not carry the commit, or if a file cannot be written
    [ -f "$carried/$ref.tar" ] && tar -x -o -f "$carried/$ref.tar"
}

fetch() { # the commit's own bytes, as a build lays them out: without conversions that .gitattributes names
    command -v git >/dev/null || fail "git is not in the image"
    echo "Bringing files to $ref ..." >&2
    rm -rf .git
    bring init -q --template= .
    bring fetch -q --depth 1 --no-tags -- "$url" "$ref"
    bring update-ref --no-deref HEAD FETCH_HEAD
    bring remote add -- origin "$url"
    mkdir .git/info
    echo '* -text -ident -filter -working-tree-encoding' >.git/info/attributes
    bring reset -q --hard # removes what is in a file's way
    rm -r .git/info
    if [ -e .gitmodules ]; then
        bring submodule -q update --init --recursive --depth 1
    fi
}

lay_out() { # in a process of its own: its variables are not the session's
    ref=$1 url=$2 folder=${REPO_DIR:-.} carried=/var/lib/bindery/content
    clean_path
    HOME=/nonexistent XDG_CONFIG_HOME=/nonexistent
    GIT_CONFIG_NOSYSTEM=1 GIT_CONFIG_GLOBAL=/dev/null GIT_ATTR_NOSYSTEM=1 GIT_TERMINAL_PROMPT=0
    export PATH HOME XDG_CONFIG_HOME GIT_CONFIG_NOSYSTEM GIT_CONFIG_GLOBAL GIT_ATTR_NOSYSTEM GIT_TERMINAL_PROMPT
    umask 022
    cd "$folder" || fail "its folder is not in the image"
    unpack || fetch
    rm -rf "$carried"/*
    [ -z "${R2D_ENTRYPOINT:-}" ] || chmod +x "$R2D_ENTRYPOINT" # as repo2docker does when it builds
}

trap 'exit 143' TERM # at once, also while a fetch lasts
lay_out "$1" "$2" &
wait "$!" || exit
trap - TERM
shift 2
exec "$@"
