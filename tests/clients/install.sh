#!/usr/bin/env bash
# install.sh LANGUAGE FOLDER: puts a language's clients into FOLDER, with the versions that are pinned here.
# Answers 3, and says in one line what is missing, where the toolchain or its registry is not there. What was
# installed before from the same pins is kept.
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
language=$1
folder=$2

node_major_min=20
java_major_min=17
install_seconds_max=240

missing() {
  echo "$*"
  exit 3
}

# bounded COMMAND...: its output only where it fails, and then the first line that it calls an error, or its
# last, is the reason.
bounded() {
  local log=$folder/install.log why
  if ! timeout "$install_seconds_max" "$@" >"$log" 2>&1 </dev/null; then
    why=$(grep -m 1 -o 'ERROR.*' "$log" || tail -n 1 "$log")
    missing "$1 could not install the clients of $language ($why)"
  fi
}

mkdir -p "$folder"
case $language in
  node)
    pins=$here/node/package-lock.json
    command -v node >/dev/null || missing "node is not installed"
    command -v npm >/dev/null || missing "npm is not installed"
    major=$(node -p 'process.versions.node.split(".")[0]')
    [ "$major" -ge "$node_major_min" ] || missing "node $major is older than $node_major_min"
    ;;
  python)
    pins=$here/python/requirements.txt
    command -v python3 >/dev/null || missing "python3 is not installed"
    python3 -c 'import ensurepip' 2>/dev/null || missing "python3-venv is not installed"
    ;;
  java)
    pins=$here/java/pom.xml
    command -v javac >/dev/null || missing "no JDK is installed (javac)"
    command -v java >/dev/null || missing "java is not installed"
    command -v mvn >/dev/null || missing "mvn is not installed"
    major=$(javac -version 2>&1 | sed -E 's/^javac ([0-9]+).*/\1/')
    [ "$major" -ge "$java_major_min" ] || missing "the JDK $major is older than $java_major_min"
    ;;
  *) missing "nothing is known of $language" ;;
esac

cp "$here/$language"/* "$folder"
if cmp -s "$pins" "$folder/installed"; then
  exit 0
fi
rm -f "$folder/installed"
case $language in
  node) bounded npm ci --prefix "$folder" --ignore-scripts --no-audit --no-fund ;;
  python)
    bounded python3 -m venv --clear "$folder/venv"
    bounded "$folder/venv/bin/pip" install --quiet --no-input --requirement "$folder/requirements.txt"
    ;;
  java)
    rm -rf "${folder:?}/lib"
    bounded mvn --batch-mode --quiet --file "$folder/pom.xml" "-Dmaven.repo.local=$folder/repository" \
      org.apache.maven.plugins:maven-dependency-plugin:copy-dependencies
    ;;
esac
cp "$pins" "$folder/installed"
