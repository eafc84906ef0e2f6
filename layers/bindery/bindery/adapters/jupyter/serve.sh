# Starts the Jupyter server in a session's container. The image's own entry point runs this script.
# Arguments: the text of start_lab.py, the server's options.
lab=$1
shift

lab_python() { # sets $python to the interpreter in jupyter-lab's first line; false if it cannot be run
    command=$(command -v jupyter-lab) && IFS= read -r first <"$command" && python=${first#'#!'}
    case $python in *' '*) return 1 ;; */python*) [ -x "$python" ] ;; *) return 1 ;; esac
}

faster=${TMPDIR:-/tmp}/bindery-lab.py # if the image cannot run it, the loop below starts the server
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
