# Installs what tools/packages.txt lists and this machine lacks. Nothing is asked, nothing is upgraded,
# and when nothing is missing neither the network nor root is touched.
# shellcheck shell=bash
: "${top:?}" # the repository, set by ./dev

apt_tries=3          # a mirror that fails for longer than this is somebody else's to mend
apt_lock_seconds=300 # another apt-get at work (unattended upgrades on a fresh machine) ends by then

# wanted_packages PART...: the packages of these parts; a line without a part belongs to `build`.
wanted_packages() {
  awk -v parts=" $* " '/^[^#]/ && NF && index(parts, " " (NF == 1 ? "build" : $2) " ") { print $1 }' \
    "$top/tools/packages.txt" | sort -u
}

# missing_packages PART...: those of them that are not installed, one a line.
missing_packages() {
  local wanted installed
  wanted=$(wanted_packages "$@")
  # shellcheck disable=SC2086 # one word a package
  installed=$(dpkg-query -W -f '${db:Status-Status} ${Package}\n' $wanted 2>/dev/null |
    awk '$1 == "installed" { print $2 }') || true # it fails when it does not know one of them
  grep -vxF -e "$installed" <<<"$wanted" || true
}

as_root() {
  if [ "$(id -u)" -eq 0 ]; then
    "$@"
  elif ! command -v sudo >/dev/null; then
    die 3 "packages are missing, and installing them needs root or sudo: apt-get install $missing"
  elif [ -t 0 ]; then
    sudo "$@"
  else
    sudo -n "$@" # without a terminal a password prompt would wait for ever
  fi
}

apt_get() {
  as_root env DEBIAN_FRONTEND=noninteractive apt-get -q -o Acquire::Retries=3 \
    -o "DPkg::Lock::Timeout=$apt_lock_seconds" "$@" </dev/null >&2
}

# postgresql-15 makes a cluster named main on port 5432 and starts it, unless this is said beforehand.
# It is said for our own installation only: what the machine's owner installs later is the owner's.
cluster_setting=/etc/postgresql-common/createcluster.d/poundlock.conf
forbid_system_cluster() {
  as_root sh -c "mkdir -p '${cluster_setting%/*}' &&
    printf 'create_main_cluster = false\n' >'$cluster_setting'"
}

try_install() {
  local try
  for ((try = 1; try <= apt_tries; try++)); do
    # One source that cannot be reached must not stop packages that come from another.
    apt_get update || say "    apt-get update reported errors; going on with the lists that are there"
    # shellcheck disable=SC2086 # one word a package
    apt_get install -y --no-install-recommends $missing && return 0
    say "    try $try of $apt_tries failed"
    as_root env DEBIAN_FRONTEND=noninteractive dpkg --configure -a </dev/null >&2 || true
  done
  return 1
}

install_packages() {
  local status=0
  case " $missing " in
    *' postgresql-15 '*)
      forbid_system_cluster || return 1
      try_install || status=$?
      as_root rm -f "$cluster_setting" || true
      return "$status"
      ;;
    *) try_install ;;
  esac
}

# need_packages PART...: makes sure that everything for these parts (build, check, format) is there.
need_packages() {
  if ! command -v dpkg-query >/dev/null || ! command -v apt-get >/dev/null; then
    say "    no apt here: tools/packages.txt lists (by Debian's names) what has to be installed"
    return 0
  fi
  missing=$(missing_packages "$@" | tr '\n' ' ')
  missing=${missing% }
  [ -n "$missing" ] || return 0
  say "    missing: $missing"
  stage "install packages" install_packages ||
    die 3 "could not install: $missing (the lines above say why; a second start tries again)"
}

# unpack_package PACKAGE FOLDER: its files below FOLDER, without root and without what its scripts do on a
# machine: nginx' start it on port 80, now and at every boot, and who measures here asked for no web server.
unpack_package() {
  local package=$1 folder=$2 fresh=$2.new
  [ ! -d "$folder" ] || return 0
  command -v apt-get >/dev/null && command -v dpkg-deb >/dev/null || return 1
  rm -rf "$fresh"
  mkdir -p "$fresh"
  (
    cd "$fresh"
    apt-get -q -o Acquire::Retries=3 -o APT::Sandbox::User=root download "$package" </dev/null >&2 &&
      dpkg-deb -x "$package"_*.deb . && rm -f "$package"_*.deb
  ) || { rm -rf "$fresh"; return 1; }
  mv "$fresh" "$folder"
}
