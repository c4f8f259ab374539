#!/usr/bin/env bash
# Runs the commands of README.md (or of the file given) as its reader would type them.
#
# Every fenced block opened by ```sh readme is run, in order, in one shell and
# in an empty directory, with the built palisade in PATH. Every command must
# succeed, unless its line ends with "# fails": then it must fail. After a
# line that starts `palisade dev` or `palisade serve` with & the next waits
# until the server answers; if there is no such line, `palisade dev` runs
# beside it, as in the reader's other terminal.
set -euo pipefail

readonly root="$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)"
readonly readme="$(realpath -m "${1:-$root/README.md}")"

program="${PALISADE_BIN:-}"
if [[ -z "$program" ]]; then
    program="$(ls -t "$root"/target/{debug,release}/palisade 2>/dev/null | head -n 1)"
fi
if [[ ! -x "$program" ]]; then
    echo "there is no palisade: run \`cargo build -p palisade\`, or name it in PALISADE_BIN" >&2
    exit 1
fi
if [[ ! -f "$readme" ]]; then
    echo "$readme is missing" >&2
    exit 1
fi

# The blocks as one script: a command and the lines that continue it become one,
# and each is shown before it is run.
commands() {
    awk '
        function quoted(text) { gsub(/\047/, "\047\\\047\047", text); return "\047" text "\047" }
        function emit(command) {
            fails = command ~ /#[ \t]*fails[ \t]*$/
            sub(/[ \t]*#[ \t]*fails[ \t]*$/, "", command)
            if (command ~ /^[ \t]*(#|$)/) return
            print "printf \"$ %s\\n\" " quoted(command)
            if (fails) {
                print "if " command
                print "then must_have_failed " quoted(command) "; fi"
            } else {
                print command
            }
            if (command ~ /^[ \t]*palisade (dev|serve).*&[ \t]*$/) print "await_server " quoted(command)
        }
        /^```/ {
            if (inside) { inside = 0; if (held != "") { emit(held); held = "" } }
            else if ($0 ~ /^```sh readme[ \t]*$/) inside = 1
            else if ($0 ~ /^```./) { other = !other }
            next
        }
        inside {
            # A here-document goes through as it is, up to its end.
            if (ending != "") { held = held "\n" $0; if ($0 == ending) { ending = ""; emit(held); held = "" } ; next }
            held = held == "" ? $0 : held "\n" $0
            if ($0 ~ /\\$/) next
            if (match($0, /<<[\047"]?[A-Z]+/)) {
                ending = substr($0, RSTART + 2, RLENGTH - 2); gsub(/[\047"]/, "", ending); next
            }
            emit(held); held = ""
        }
    ' "$1"
}

readonly script="$(commands "$readme")"
if [[ -z "$script" ]]; then
    echo "$readme has no block opened by \`\`\`sh readme: nothing proves its commands" >&2
    exit 1
fi

directory="$(mktemp -d)"
mkdir "$directory/bin" "$directory/home" "$directory/work"
trap 'rm -rf "$directory"' EXIT
ln -s "$(realpath "$program")" "$directory/bin/palisade"

# Nothing of the caller's AWS account reaches the commands.
while read -r variable; do unset "$variable"; done < <(compgen -e AWS_ || true)
export HOME="$directory/home" XDG_RUNTIME_DIR="$directory/home" AWS_PAGER="" AWS_EC2_METADATA_DISABLED=true
export PATH="$directory/bin:$PATH"

cat >"$directory/script" <<'END'
set -e -o pipefail
trap 'status=$?; jobs -p | xargs -r kill 2>/dev/null; wait; exit $status' EXIT

must_have_failed() {
    echo "this was to fail, and did not: $1" >&2
    exit 1
}

# Waits until the server that a line started answers.
await_server() {
    local address=127.0.0.1:4566
    if [[ "$1" =~ --listen[\ =]([^\ ]+) ]]; then address="${BASH_REMATCH[1]}"; fi
    for _ in $(seq 200); do
        if curl -sf --max-time 1 "http://$address/_palisade/health" >/dev/null; then return; fi
        if [[ -z "$(jobs -rp)" ]]; then break; fi
        sleep 0.05
    done
    echo "no server answers at $address" >&2
    exit 1
}
END
if ! grep -qE '^palisade (dev|serve).*&' <<<"$script"; then
    cat >>"$directory/script" <<'END'
# The other terminal. The usual port may be taken here, so `palisade env` is told which it is.
palisade dev --listen 127.0.0.1:0 --json >"$HOME/ready" &
for _ in $(seq 200); do
    if [[ -s "$HOME/ready" ]]; then break; fi
    sleep 0.05
done
port="$(sed -E 's/.*"endpoint":"[^"]*:([0-9]+)".*/\1/' "$HOME/ready")"
palisade() {
    if [[ "$1" == env ]]; then command palisade "$@" --port "$port"; else command palisade "$@"; fi
}
END
fi
printf '%s\n' "$script" >>"$directory/script"

cd "$directory/work"
if bash "$directory/script" </dev/null; then
    echo "every command of $(basename "$readme") did as it says"
else
    echo "a command of $(basename "$readme") did not do as it says: the last one shown" >&2
    exit 1
fi
