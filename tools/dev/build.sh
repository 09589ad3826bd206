# Configures and builds the presets of CMakePresets.json.
# shellcheck shell=bash
: "${top:?}" # the repository, set by ./dev

mib_per_job=1300 # the largest compilation here (Boost.Asio at -O2) stays under this

# jobs: one a core, fewer where memory would not hold that many compilers.
jobs() {
  local cores memory
  cores=$(nproc)
  memory=$(awk '/^MemAvailable:/ { print int($2 / 1024) }' /proc/meminfo 2>/dev/null)
  memory=$((${memory:-4096} / mib_per_job))
  [ "$memory" -ge 1 ] || memory=1
  echo $((memory < cores ? memory : cores))
}

# folder_of PRESET: where the preset builds.
folder_of() {
  case $1 in
    release) echo "$top/build" ;;
    *) echo "$top/build-$1" ;;
  esac
}

# A cache that was written for another place of the source tree makes cmake refuse: start it afresh.
configure() {
  local preset=$1 folder cache fresh=()
  folder=$(folder_of "$preset")
  cache=$folder/CMakeCache.txt
  if [ -f "$cache" ]; then
    if grep -qxF "CMAKE_HOME_DIRECTORY:INTERNAL=$top" "$cache"; then
      # ninja starts cmake again by itself when a CMakeLists.txt changed, but does not know of presets.
      [ "$top/CMakePresets.json" -nt "$folder/CMakeFiles/cmake.check_cache" ] ||
        [ ! -f "$folder/build.ninja" ] || return 0
    else
      fresh=(--fresh)
    fi
  fi
  (cd "$top" && cmake --preset "$preset" "${fresh[@]}" --log-level=WARNING) >&2
}

# With paths relative to the tree ccache serves every clone on the machine, wherever it lies. Without the
# sloppiness it would serve nothing that uses a precompiled header.
compile() {
  local preset=$1 quiet=()
  shift
  [ -t 2 ] || quiet=(--quiet)
  CCACHE_BASEDIR=$top CCACHE_NOHASHDIR=1 CCACHE_SLOPPINESS=pch_defines,time_macros \
    ninja -C "$(folder_of "$preset")" -j "$(jobs)" "${quiet[@]}" "$@" >&2
}

# build_preset PRESET [TARGET...]
build_preset() {
  local preset=$1
  shift
  stage "configure $preset" configure "$preset" || die 1 "cmake could not configure preset $preset"
  stage "build $preset with $(jobs) jobs" compile "$preset" "$@" || die 1 "preset $preset does not build"
}
