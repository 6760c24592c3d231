# Completion of caspl in bash, 3.2 or later: eval "$(caspl completion bash)"
_caspl() {
    local answer
    COMPREPLY=()
    while IFS= read -r answer; do
        COMPREPLY+=("${answer%%$'\t'*}")
    done < <("${1/#\~/$HOME}" completion answer -- "${COMP_WORDS[@]:1:COMP_CWORD}" 2>/dev/null)
}
complete -o bashdefault -o default -F _caspl caspl # where there is no answer, files
