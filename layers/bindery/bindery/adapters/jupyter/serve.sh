# Runs in a session's container under the entry point of its image, whichever that is: becomes the server.
# Arguments: the text of lab.py, the server's options.
lab=$1
shift

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
