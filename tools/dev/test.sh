# Runs a preset's tests and counts their cases.
# shellcheck shell=bash
: "${top:?}" # the repository, set by ./dev

# select_tests PRESET FILTER: a filter that names CTest entries (a regular expression, as in
# `unit.base`) picks programs; any other picks cases by name in all programs.
select_tests() {
  local folder=$1 filter=$2
  select=()
  unset GTEST_FILTER
  [ -n "$filter" ] || return 0
  if ctest --test-dir "$folder" -N -R "$filter" 2>/dev/null | grep -q '^  *Test  *#'; then
    select=(-R "$filter")
  else
    case $filter in
      *'*'*) export GTEST_FILTER=$filter ;;
      *) export GTEST_FILTER="*$filter*" ;;
    esac
  fi
}

# run_tests PRESET FILTER [CTEST ARGUMENTS...]: adds to the totals; fails when a test failed or none ran.
run_tests() {
  local preset=$1 filter=$2 folder reports status=0 passed failed skipped
  shift 2
  folder=$(folder_of "$preset")
  reports=$folder/test-reports
  rm -rf "$reports"
  mkdir -p "$reports/cases"
  select_tests "$folder" "$filter"
  GTEST_OUTPUT="xml:$reports/cases/" GTEST_COLOR=$([ -t 1 ] && echo yes || echo no) \
    ctest --test-dir "$folder" --output-on-failure --no-tests=error -j "$(jobs)" \
    --output-junit "$reports/entries.xml" "${select[@]}" "$@" </dev/null || status=$?
  read -r passed failed skipped < <(count_cases "$reports")
  total_passed=$((total_passed + passed))
  total_failed=$((total_failed + failed))
  total_skipped=$((total_skipped + skipped))
  if [ "$status" -eq 0 ] && [ "$failed" -eq 0 ] && [ $((passed + failed)) -eq 0 ]; then
    say "    no test case ran${filter:+: nothing is named like $filter}"
    return 1
  fi
  [ "$status" -eq 0 ] && [ "$failed" -eq 0 ]
}

# count_cases FOLDER: "PASSED FAILED SKIPPED" over the reports in it.
count_cases() {
  local files=()
  [ -f "$1/entries.xml" ] && files+=("$1/entries.xml")
  for file in "$1"/cases/*.xml; do
    [ -f "$file" ] && files+=("$file")
  done
  [ "${#files[@]}" -gt 0 ] || { echo "0 0 0"; return; }
  awk -v entries="$1/entries.xml" -f "$top/tools/dev/count.awk" "${files[@]}"
}

# The last line of every test run, alone on its line and without colour, for people and for machines.
closing_line() {
  local line="$total_passed passed, $total_failed failed"
  [ "$total_skipped" -eq 0 ] || line+=", $total_skipped skipped"
  printf '%s\n' "$line"
}
