# The static checks of `./dev check`.
# shellcheck shell=bash
: "${top:?}" # the repository, set by ./dev

# sources [PATHSPEC...]: the C++ files of the tree, new ones that are not added yet included.
sources() {
  (cd "$top" && git ls-files --cached --others --exclude-standard -- "$@" | while read -r file; do
    [ ! -f "$file" ] || echo "$file"
  done)
}
cpp_files() { sources '*.cpp' '*.h'; }

check_format() { cpp_files | (cd "$top" && xargs -r clang-format --dry-run --Werror --style=file); }

check_shell() { sources dev .ci/run '*.sh' | (cd "$top" && xargs -r shellcheck -x --source-path="$top"); }

# Translation units that clang-tidy has to read: all, or with a base commit those changed since it.
# A changed header means all, since any of them may include it.
tidy_files() {
  local base=$1 changed
  if [ -n "$base" ]; then
    changed=$(cd "$top" && { git diff --name-only "$base" -- && git ls-files --others --exclude-standard; })
    if ! grep -qE '\.h$|^\.clang-tidy$' <<<"$changed"; then
      grep -E '\.cpp$' <<<"$changed" | sort -u | (cd "$top" && xargs -r ls -d 2>/dev/null)
      return
    fi
  fi
  sources '*.cpp'
}

# Warnings of g++ that clang does not know would be errors of their own without the extra argument.
check_tidy() {
  local folder database files
  folder=$(folder_of dev)
  database=$folder/compile_commands.json
  files=$(tidy_files "$1" | while read -r file; do
    ! grep -qF "$top/$file\"" "$database" || echo "$file"
  done)
  [ -n "$files" ] || { say "    no changed file to read"; return 0; }
  (cd "$top" && xargs -P "$(jobs)" -n 1 clang-tidy --quiet -p "$folder" \
    --extra-arg=-Wno-unknown-warning-option <<<"$files")
}

# check_fuzz SECONDS: each fuzzer for so long, from fuzz/corpus/NAME. What it finds is left in the build
# folder; the corpus in the tree is not written to.
check_fuzz() {
  local seconds=$1 folder program name status=0
  folder=$(folder_of fuzz)
  for program in "$folder"/*_fuzz; do
    name=$(basename "${program%_fuzz}")
    mkdir -p "$folder/corpus/$name"
    if ! "$program" -max_total_time="$seconds" -timeout=10 -rss_limit_mb=1024 -max_len=4096 -verbosity=0 \
      -artifact_prefix="$folder/$name-" "$folder/corpus/$name" "$top/fuzz/corpus/$name" \
      >"$folder/$name.log" 2>&1; then
      say "    $name: $folder/$name.log"
      tail -n 30 "$folder/$name.log" >&2
      status=1
    fi
  done
  return "$status"
}
