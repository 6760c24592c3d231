#compdef caspl
# Completion of caspl in zsh: eval "$(caspl completion zsh)" behind compinit
_caspl() {
    local answer
    local -a found shown
    for answer in "${(@f)$("${words[1]/#\~/$HOME}" completion answer -- "${(@)words[2,CURRENT]}" 2>/dev/null)}"; do
        [[ -n $answer ]] || continue
        found+=("${answer%%$'\t'*}")
        shown+=("${${answer/$'\t'/  -- }}")
    done
    if (( $#found )); then
        compadd -l -d shown -a found
    else
        _files
    fi
}
compdef _caspl caspl
