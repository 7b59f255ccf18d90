# Completion of `fwsim run`, `fwsim sweep` and all others in bash: what is offered comes from `fwsim __complete WORD…`.
_fwsim() {
  local word line value files= current="${COMP_WORDS[COMP_CWORD]}" program=("${COMP_WORDS[0]}") typed=() offered=()
  type "${program[0]}" >/dev/null 2>&1 || program=(@PROGRAM@)
  for word in "${COMP_WORDS[@]:1:COMP_CWORD}"; do
    word="${word#[\"\']}"
    typed+=("${word//\\/}")
  done
  while IFS= read -r line; do
    case "$line" in
      $'\x1f'files) files=1 ;;
      $'\x1f'* | '') ;;
      *) offered+=("${line%%$'\t'*}") ;;
    esac
  done < <("${program[@]}" __complete "${typed[@]}" 2>/dev/null)
  if [[ $files ]]; then # readline quotes file names
    compopt -o filenames 2>/dev/null
    [[ $current == = ]] && current=
    while IFS= read -r line; do offered+=("$line"); done < <(compgen -f -- "$current")
    COMPREPLY=("${offered[@]}")
    return
  fi
  COMPREPLY=()
  for value in "${offered[@]}"; do
    [[ $current == [\"\']* ]] || printf -v value %q "$value"
    COMPREPLY+=("$value")
  done
  [[ ${#COMPREPLY[@]} == 1 && ${COMPREPLY[0]} == *[/=] ]] && compopt -o nospace 2>/dev/null
  return 0
}
complete -F _fwsim fwsim
