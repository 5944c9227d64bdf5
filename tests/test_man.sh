#!/bin/sh
# test_man.sh - every command has a man page, as `make install` writes it, that man(1) has nothing to say against.
. "$(dirname "$0")/shell.inc"
"$BROOD" help --names >names
[ "$(wc -l <names)" -ge 8 ] && good || bad "help --names" "$(cat names)"
for command in '' $(cat names); do
    # shellcheck disable=SC2086 # nothing, for the page of the program itself
    "$BROOD" help --man $command >page.1 2>err && grep -q "^\.TH brood${command:+-$command} 1" page.1 && good ||
        bad "the page of brood $command" "$(head -n 3 page.1 err)"
    for section in NAME SYNOPSIS 'EXIT STATUS'; do
        grep -q "^\.SH $section" page.1 && good || bad "the page of brood $command has no $section"
    done
    if command -v man >/dev/null; then
        complaints=$(LC_ALL=C.UTF-8 MANROFFSEQ= man --warnings -E UTF-8 -l -Tutf8 -Z page.1 2>&1 >/dev/null)
        [ -z "$complaints" ] && good || bad "man complains of the page of brood $command" "$complaints"
    fi
done
# Every name that --strategy takes is in the help and in the pages of both commands that have it.
known=$("$BROOD" solve --strategy no-such-name x 2>&1 | sed 's/.*known: //; s/,//g')
for command in solve bench; do
    "$BROOD" help $command >help
    "$BROOD" help --man $command | sed 's/\\-/-/g' >page.1
    for name in $known; do
        grep -q "^  $name\( \|$\)" help && good || bad "help $command does not list $name"
        grep -q "^\.B $name$" page.1 && good || bad "the page of brood $command does not list $name"
    done
done
[ "$(echo "$known" | wc -w)" -ge 20 ] && good || bad "the names of strategies" "$known"
finish
