#!/usr/bin/env bash
# client_test.sh BUILD SOURCE CXX: installs the client library, moves it elsewhere, and builds an application
# against it in the three ways that its users have: find_package, the same statically, and pkg-config.
set -Eeuo pipefail
build=$1 source=$2 cxx=$3
step='start'
trap 'echo "client_test.sh: failed at line $LINENO: $step" >&2' ERR
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
say() {
  step=$*
  echo "-- $step"
}

say 'install, and move what was installed'
cmake --install "$build" --prefix "$folder/first" --component client >"$folder/install.log"
mv "$folder/first" "$folder/moved"
prefix=$folder/moved
[ ! -e "$prefix/bin" ] # the programs are another component
libdir=$(dirname "$(find "$prefix" -name libpoundlock.so)")
if grep -rIl --exclude-dir=include -e "$folder" -e "$build" -e "$source" "$prefix"; then
  echo 'these files name a place of this machine' >&2
  exit 1
fi

say 'each header alone, as C++17 and as C++20, without a warning'
for header in "$prefix"/include/poundlock/*.h; do
  echo "#include <poundlock/$(basename "$header")>" >"$folder/alone.cpp"
  for standard in c++17 c++20; do
    "$cxx" -std=$standard -Wall -Wextra -Wpedantic -Wshadow -Werror -I"$prefix/include" -fsyntax-only \
      "$folder/alone.cpp"
  done
done
if grep -hE '^ *# *include' "$prefix"/include/poundlock/*.h | grep -vE '<[a-z_]+>|"poundlock/[a-z]+\.h"'; then
  echo 'headers include the standard library and each other, nothing else' >&2
  exit 1
fi

say 'the shared library exports functions of poundlock:: and nothing of its inside'
nm -D --defined-only --demangle "$libdir/libpoundlock.so" | cut -d' ' -f3- >"$folder/exported"
grep -qF 'poundlock::Client::create(' "$folder/exported"
if grep -vE '^poundlock::(Client|Router|Subscription|Unit)::|^poundlock::to_string\(' "$folder/exported"; then
  echo 'these names must not be exported' >&2
  exit 1
fi
# Below 1.0 each minor version is another interface.
minor=$(sed -n 's/^project(poundlock VERSION 0\.\([0-9]*\)\..*/\1/p' "$source/CMakeLists.txt")
readelf -d "$libdir/libpoundlock.so" | grep -q "SONAME.*\[libpoundlock\.so\.0\.$minor\]"

cat >"$folder/expected" <<'TEXT'
hook colour TARGETING_MATCH
colour blue
hook k.stage STATIC
read 2
TEXT
# Events come on a thread of their own: where in the output is chance.
expect() {
  "$@" | grep -v '^event ' | diff "$folder/expected" -
}

say 'find_package: Poundlock::client and Poundlock::client_static'
cmake -S "$source/tests/install/consumer" -B "$folder/consumer" -G Ninja -DCMAKE_PREFIX_PATH="$prefix" \
  -DCMAKE_CXX_COMPILER="$cxx" -DCMAKE_CXX_FLAGS='-std=c++17 -Wall -Wextra -Werror' >"$folder/cmake.log"
cmake --build "$folder/consumer" >"$folder/build.log" || { cat "$folder/build.log"; false; }
expect "$folder/consumer/with_client"
expect "$folder/consumer/with_client_static"

say 'pkg-config'
export PKG_CONFIG_PATH=$libdir/pkgconfig
# shellcheck disable=SC2046 # several words
"$cxx" -std=c++17 -Wall -Wextra -Werror "$source/tests/install/consumer/main.cpp" -o "$folder/by_pkg_config" \
  $(pkg-config --cflags --libs poundlock) -Wl,-rpath,"$(pkg-config --variable=libdir poundlock)"
expect "$folder/by_pkg_config"
