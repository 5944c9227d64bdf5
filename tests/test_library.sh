#!/bin/sh
# test_library.sh - the example is built against the static and the shared library, and says what brood solve says.
. "$(dirname "$0")/shell.inc"
[ -n "$LIBS" ] || { echo "LIBS is not set: run this by make check T=library"; exit 1; }
question='Ida has 25 nuts. Now Ida has 8 times as many. Ida keeps half of them. How many nuts does Ida have now?'
example=$here/../examples/solve.c
case $(basename "$BUILD_DIR") in
asan) checks="-fsanitize=address,undefined" ;;
tsan) checks="-fsanitize=thread" ;;
*) checks= ;;
esac
flags="-std=c11 -Wall -Wextra -Werror $checks -I$here/../src"
export BROOD_SHARE="$here/../lab"
ln -s "$BUILD_DIR/libbrood.so" libbrood.so.0

# shellcheck disable=SC2086 # words are meant
{
    ends 0 $CC $flags "$example" "$BUILD_DIR/libbrood.a" $LIBS -o static
    ends 0 $CC $flags "$example" "$BUILD_DIR/libbrood.so" "-Wl,-rpath,$dir" -o shared
}
"$BROOD" solve "$question" >solve 2>err
for kind in static shared; do
    says "$(head -n 1 solve)" ./$kind "$question"
    says "of 16 solutions say so" ./$kind "$question"
    ./$kind ' ' >out 2>err
    [ $? -eq 2 ] && grep -q 'the problem is empty' err && good || bad "$kind: an empty problem" "$(cat out err)"
done
# Nothing but brood_* leaves the shared library.
if command -v nm >/dev/null && [ -z "$checks" ]; then
    others=$(nm -D --defined-only "$BUILD_DIR/libbrood.so" | awk '$2 ~ /[TDBR]/ && $3 !~ /^brood_/ { print $3 }')
    [ -z "$others" ] && good || bad "the shared library exports" "$others"
fi
finish
