# What .ci/run and .ci/long share, read by both from the root of the tree: a copy of it, and steps that are counted.

export CI=true PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_QUIET=1 PIP_NO_INPUT=1 PYTHONDONTWRITEBYTECODE=1

# the copy has no .git: sweeps that draw some of their cases draw them by the commit of the tree
GRADFLOW_SEED="${GRADFLOW_SEED:-$(git rev-parse HEAD 2>/dev/null || true)}"
export GRADFLOW_SEED

copy="$(mktemp -d)"
if [[ -z "${KEEP:-}" ]]; then trap 'rm -rf "$copy"' EXIT; fi

# tracked and new files as they are on disk; what git ignores stays behind, so nothing built earlier can help
git ls-files -z --cached --others --exclude-standard | while IFS= read -r -d '' file; do
  if [[ -e "$file" ]]; then printf '%s\0' "$file"; fi
done | tar --null --files-from - --create | tar --extract --directory "$copy"
cd "$copy" || exit 1

failed=()
step() {
  local name="$1" begin=$SECONDS status=0
  shift
  printf '\n=== %s\n' "$name"
  "$@" </dev/null || status=$?
  printf '=== %s: %s (%d s)\n' "$name" "$([[ $status == 0 ]] && echo ok || echo "FAILED with status $status")" $((SECONDS - begin))
  if [[ $status != 0 ]]; then failed+=("$name"); fi
}

# says what failed, and ends
finish() {
  printf '\n%d s in all, seed %s\n' "$SECONDS" "${GRADFLOW_SEED:-none}"
  if [[ -n "${KEEP:-}" ]]; then echo "kept: $copy"; fi
  if ((${#failed[@]})); then
    printf 'FAILED: %s\n' "${failed[@]}"
    exit 1
  fi
  echo "all steps passed"
}
