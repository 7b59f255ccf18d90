#compdef fwsim
# Completion of `fwsim run`, `fwsim sweep` and all others in zsh: what is offered comes from `fwsim __complete WORD…`.
_fwsim() {
  local line value text paths=0
  local -a program typed closed closed_texts open open_texts
  program=("$words[1]")
  (( $+commands[$words[1]] || $+functions[$words[1]] )) || [[ -x $words[1] ]] || program=(@PROGRAM@)
  typed=("${(@Q)words[2,CURRENT]}")
  for line in "${(@f)$("${program[@]}" __complete "${typed[@]}" 2>/dev/null)}"; do
    case "$line" in
      ($'\x1f'files) paths=1 ;;
      ($'\x1f'*|'') ;;
      (*)
        value="${line%%$'\t'*}"
        text="$value"
        [[ "$line" == *$'\t'* ]] && text="$value -- ${line#*$'\t'}"
        if [[ "$value" == *[/=] ]]; then
          open+=("$value"); open_texts+=("$text")
        else
          closed+=("$value"); closed_texts+=("$text")
        fi ;;
    esac
  done
  local found=1
  (( $#closed )) && compadd -l -d closed_texts -a closed && found=0
  (( $#open )) && compadd -S '' -d open_texts -a open && found=0
  if (( paths )); then
    [[ "$PREFIX" == --*=* ]] && compset -P '*='
    _files && found=0
  fi
  return found
}
if [[ "${zsh_eval_context[-1]}" == loadautofunc ]]; then
  _fwsim "$@"
else
  compdef _fwsim fwsim
fi
