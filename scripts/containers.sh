#!/usr/bin/env bash
# Build the image, bring the whole system up in containers, see it trade on paper, see its data outlive the containers,
# and take everything down again, also after a failure. Needs podman, curl and Python >= 3.11 (PYTHON chooses one).
# As root the system runs in a network namespace of its own without a way out: paper trading needs none.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

name=perpetua-check-$$
work=$(mktemp -d)
inside=() ticker=''
export API_TOKEN MARKET_SPEED=60
API_TOKEN=$(od -An -N16 -tx1 /dev/urandom | tr -d ' \n')

say() { printf 'containers: %3d s  %s\n' "$SECONDS" "$*"; }

compose() { "${inside[@]}" "$work/venv/bin/podman-compose" --project-name "$name" "$@" >"$work/log" 2>&1; }

ours() { podman ps --quiet --filter "label=io.podman.compose.project=$name" "$@"; }

ask() { # PATH: what the API answers
    "${inside[@]}" curl --silent --fail --noproxy '*' --max-time 5 --header "Authorization: Bearer $API_TOKEN" \
        "http://127.0.0.1:3000$1"
}

clean_up() {
    local code=$?
    trap - EXIT
    if [ $code -ne 0 ]; then
        echo "containers: failed; the last words of podman-compose and of each container:" >&2
        tail -n 20 "$work/log" >&2 || true
        ours --all | xargs -r -n1 podman logs --tail 15 2>&1 | cut -c 1-300 >&2 || true
    fi
    [ -z "$ticker" ] || kill "$ticker"
    [ ! -x "$work/venv/bin/podman-compose" ] || compose down --volumes || tail -n 5 "$work/log" >&2
    [ ${#inside[@]} -eq 0 ] || ip netns delete "$name"
    rm -rf "$work"
    say "everything is taken down"
    exit $code
}
trap clean_up EXIT
trap 'exit 130' INT TERM

await() { # SECONDS WHAT COMMAND...: wait for the command to succeed
    local end=$((SECONDS + $1)) what=$2
    shift 2
    until "$@" >/dev/null 2>&1; do
        if [ $SECONDS -ge $end ]; then
            echo "containers: waited in vain: $what" >&2
            return 1
        fi
        sleep 0.5
    done
    say "$what"
}

tick() { # podman leaves the timing of health checks to systemd, which is not everywhere
    while sleep 1; do
        ours | xargs -r -n1 timeout 10 podman healthcheck run || true
    done
}

all_healthy() { [ "$(ours --filter health=healthy | wc -l)" -eq 4 ]; } # the scheduler alone has no check

last_cycle() { # the tick of the last cycle, when all of its stages are done
    ask /status | "$work/venv/bin/python" -c '
import json, sys
(account,) = json.load(sys.stdin)["accounts"]
(tick,) = {account["stages"][stage]["tick"] for stage in ("fetch", "decide", "execute", "reconcile")}
print(tick)'
}

has_cycled_since() { # TICK: whether a later cycle is done
    local tick
    tick=$(last_cycle) && [[ $tick > $1 ]]
}

remembers() { ask "/decisions?limit=1000" | grep -qF "\"$1\""; } # TICK: whether its decisions are told of

"${PYTHON:-python3}" -m venv "$work/venv"
"$work/venv/bin/python" -m pip install --quiet --disable-pip-version-check --require-hashes -r deploy/podman-compose.lock
say "podman-compose is installed"
compose build
size=$(podman image inspect --format '{{.Size}}' localhost/perpetua)
say "the image is built: $((size / 1000000)) MB"
database=docker.io/library/postgres:17
podman image exists "$database" || podman pull --quiet "$database"

if [ "$(id -u)" -eq 0 ]; then
    ip netns add "$name"
    inside=(nsenter "--net=/run/netns/$name") # `ip netns exec` would also swap mounts that podman needs
    "${inside[@]}" ip link set lo up
fi
tick >/dev/null 2>&1 &
ticker=$!

compose up --detach
await 120 "the API answers" ask /health/live
await 60 "an account has run a cycle" last_cycle
await 60 "the system is ready, by its own account" ask /health/ready
await 60 "every health check is passed" all_healthy
ask /status
echo
until tick=$(last_cycle 2>/dev/null); do sleep 0.2; done # between two cycles: one under way has stages of two ticks

compose stop scheduler # first, so that no cycle is cut short
compose down
[ -z "$(ours --all)" ]
say "taken down, its volumes kept"
compose up --detach
await 120 "the API answers again" ask /health/live
await 10 "the cycle of $tick is remembered" remembers "$tick"
await 60 "a later cycle has run" has_cycled_since "$tick"
