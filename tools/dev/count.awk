# Adds up what the test programs reported. Input: GoogleTest's XML reports, and CTest's JUnit report as
# the file named by -v entries=FILE. Prints: PASSED FAILED SKIPPED.
#
# CTest knows programs, GoogleTest knows cases, and neither alone is the truth: a program that crashed
# leaves no report, and one that fails after its last case (a leak found at exit) leaves a clean one. So
# a failed entry that no report accounts for is one failed case, and a passed entry that is no GoogleTest
# program one passed case.
function attribute(name,    rest) {
  if (!match($0, " " name "=\"[0-9]+\"")) return 0
  rest = substr($0, RSTART, RLENGTH)
  gsub(/[^0-9]/, "", rest)
  return rest + 0
}
FILENAME == entries && /<testcase / {
  plain_pass = / status="run"/
  if (/ status="fail"/) entries_failed++
  if (/ status="(disabled|notrun)"/) skipped++
}
FILENAME == entries && /\[==========\]|Running main\(\) from/ { plain_pass = 0 }
FILENAME == entries && /<\/testcase>/ {
  passed += plain_pass
  plain_pass = 0
}
FILENAME == entries { next }
/<testsuites / {
  if (attribute("failures") + attribute("errors") > 0) reports_failed++
}
/<testsuite / {
  bad = attribute("failures") + attribute("errors")
  off = attribute("disabled") + attribute("skipped")
  failed += bad
  skipped += off
  passed += attribute("tests") - bad - off
}
END {
  if (entries_failed > reports_failed) failed += entries_failed - reports_failed
  printf "%d %d %d\n", passed, failed, skipped
}
