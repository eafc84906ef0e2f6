# What runs in a session's container, under whatever entry point its image has: brings the files to their commit if the image
# holds another's, then becomes the server. Arguments: ref, built from, clone address (all empty: the files are right), the
# text of lab.py, the server's options.
ref=$1 built_from=$2 url=$3 lab=$4
shift 4

fail() {
    echo "$1" >&2
    printf 'bindery content: %s' "$1" >/dev/termination-log 2>/dev/null
    exit 76
}

quiet_git() { # the repository's own configuration must not lead git elsewhere
    git -c protocol.allow=never -c protocol.https.allow=always -c protocol.http.allow=always -c credential.helper= \
        -c core.hooksPath=/dev/null -c advice.detachedHead=false -c http.lowSpeedLimit=1000 -c http.lowSpeedTime=60 "$@"
}

bring() { # in git's first words of what is fatal, should it fail
    words=$(quiet_git "$@" 2>&1) || fail "$(printf "%s\n" "$words" | grep -m 1 '^fatal: ' || printf "%s\n" "$words" | tail -n 1)"
}

if [ -n "$ref" ]; then
    cd "${REPO_DIR:-.}" || fail "its folder is not in the image"
    command -v git >/dev/null || fail "git is not in the image"
    export GIT_TERMINAL_PROMPT=0
    echo "Bringing files to $ref ..." >&2
    if [ ! -e .git ]; then # what the image's commit had and this one has not must go, too
        bring init -q .
        bring fetch -q --depth 1 --no-tags -- "$url" "$built_from"
        bring reset -q --mixed FETCH_HEAD
    fi
    bring fetch -q --depth 1 --no-tags -- "$url" "$ref"
    bring checkout -q --force --detach FETCH_HEAD
    if [ -e .gitmodules ]; then
        bring submodule -q update --init --recursive --depth 1
    fi
fi

lab_python() { # the interpreter that jupyter-lab names, if it is one that we can run
    command=$(command -v jupyter-lab) && IFS= read -r first <"$command" && python=${first#'#!'}
    case $python in *' '*) return 1 ;; */python*) [ -x "$python" ] ;; *) return 1 ;; esac
}

faster=${TMPDIR:-/tmp}/bindery-lab.py # an image that cannot run it takes the usual way
if lab_python 2>/dev/null && printf '%s' "$lab" 2>/dev/null >"$faster"; then
    exec "$python" "$faster" "$@"
fi

for server in jupyter-lab jupyter-notebook jupyter-server; do
    if command -v "$server" >/dev/null; then
        exec "$server" "$@"
    fi
done
echo "There is no Jupyter server in this image: install jupyterlab in it." >&2
exit 127
