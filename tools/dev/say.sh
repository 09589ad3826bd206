# What a person sees of ./dev. Everything here goes to standard error, so that the standard output of
# `./dev demo --output json` is the demo's JSON and nothing else.
# shellcheck shell=bash

bold='' dim='' red='' green='' plain=''
if [ -t 2 ] && [ -z "${NO_COLOR:-}" ]; then
  bold=$'\e[1m' dim=$'\e[2m' red=$'\e[31m' green=$'\e[32m' plain=$'\e[0m'
fi

say() { printf '%s\n' "$*" >&2; }

# die CODE MESSAGE...: the exit codes are those of the poundlock program (1 a check said no, 2 usage,
# 3 cannot reach something).
die() {
  local code=$1
  shift
  say "${red}${bold}dev:${plain} $*"
  exit "$code"
}

# stage NAME COMMAND...: runs the command and says how long it took. The command's own exit status is
# handed on; what comes after a failed stage is for the caller to decide.
stage() {
  local name=$1 begin=$SECONDS status=0
  shift
  say "${bold}==>${plain} $name"
  "$@" || status=$?
  if [ "$status" -eq 0 ]; then
    say "    ${green}done${plain} ${dim}$name, $((SECONDS - begin)) s${plain}"
  else
    say "    ${red}failed${plain} ${dim}$name, $((SECONDS - begin)) s${plain}"
  fi
  return "$status"
}
