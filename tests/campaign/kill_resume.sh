#!/bin/sh
# kill_resume.sh - a bench that is killed with SIGKILL at random moments, at least KILLS times (default 50), and resumed until it
# ends: its records must equal those of an uninterrupted run, byte for byte. `make campaign` runs it.
#
# Where a kill falls is drawn anew each time: mostly while samples arrive, now and then while the run is being opened. When the
# run ends before enough kills have come, it is begun again from nothing, so every round ends in a comparison.
#
# With VERIFY=1 the run is one of programs that unit tests check (lab:code, --verify tests) while the kills come, and each revision is told
# what the tests said of the one above: a verdict that is lost, or asked for twice with another outcome, changes what follows.
. "$(dirname "$0")/../shell.inc"
kills=${KILLS:-50}
limit=${LIMIT:-40}
samples=${SAMPLES:-16}
run="lab:story --limit $limit -n $samples"
[ -z "$VERIFY" ] || run="lab:code --limit $limit --policy lab:code --reward none --verify tests --strategy revise:n=$samples,length=4"
# shellcheck disable=SC2086 # words are meant
bench() { "$BROOD" bench $run "$@"; }

began=$(date +%s)
bench --run whole.brood >/dev/null 2>err || { cat err; exit 1; }
"$BROOD" report --jsonl whole.brood >whole.jsonl || exit 1
took=$(($(date +%s) - began + 1))
[ -z "$VERIFY" ] || grep -q '"feedback":' whole.jsonl || { echo "no solution was rejected: nothing is told" && exit 1; }
echo "uninterrupted: $(wc -c <whole.jsonl) bytes of records, about $took s"

n_killed=0 n_rounds=0 n_sessions=0
while [ "$n_killed" -lt "$kills" ]; do
    n_rounds=$((n_rounds + 1))
    rm -f killed.brood*
    while :; do
        # Up to a quarter of what the whole run takes, but sometimes only a few hundredths of a second.
        if [ "$n_killed" -lt "$kills" ]; then
            seconds=$(awk -v most="$took" -v seed="$(od -An -N4 -tu4 /dev/urandom)" \
                'BEGIN { srand(seed); x = rand(); printf "%.3f", rand() < 0.2 ? 0.05 * x : 0.05 + most / 4 * x }')
            # shellcheck disable=SC2086
            killed_after "$seconds" "$BROOD" bench $run --run killed.brood
        else
            bench --run killed.brood >out 2>err
        fi
        status=$?
        n_sessions=$((n_sessions + 1))
        case $status in
        0) break ;;
        137) n_killed=$((n_killed + 1)) ;;
        *) echo "status $status:"; cat err; exit 1 ;;
        esac
    done
    "$BROOD" report --jsonl killed.brood >killed.jsonl || exit 1
    if ! cmp whole.jsonl killed.jsonl; then
        diff whole.jsonl killed.jsonl | head -n 4 | cut -c1-400
        echo "round $n_rounds: the records differ after $n_killed kills"
        exit 1
    fi
    echo "round $n_rounds: equal records after $n_killed kills so far"
done
echo "$n_killed kills in $n_rounds runs and $n_sessions sessions: every run's records equal the uninterrupted one's"
