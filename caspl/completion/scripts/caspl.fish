# Completion of caspl in fish: caspl completion fish | source
function __caspl_answers
    set -l words (commandline -opc)
    set -l found ($words[1] completion answer -- $words[2..-1] (commandline -ct) 2>/dev/null)
    if test (count $found) -gt 0
        printf '%s\n' $found
    else
        __fish_complete_path (commandline -ct)
    end
end
complete -c caspl -f -a '(__caspl_answers)'
