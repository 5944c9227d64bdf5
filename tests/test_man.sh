#!/bin/sh
# test_man.sh - the man pages are those that the tables of options give (`make man` writes them).
. "$(dirname "$0")/shell.inc"
"$BROOD" help --man >brood.1
same brood.1 "$here/../man/brood.1" "run make man"
for command in solve bench report vote score equal model help; do
    "$BROOD" help --man $command >page.1
    same page.1 "$here/../man/brood-$command.1" "run make man"
    if command -v man >/dev/null; then
        complaints=$(LC_ALL=C.UTF-8 MANROFFSEQ= man --warnings -E UTF-8 -l -Tutf8 -Z page.1 2>&1 >/dev/null)
        [ -z "$complaints" ] && good || bad "man complains of brood-$command.1" "$complaints"
    fi
done
finish
