# Completion of transship for fish. It asks the program itself, so that it knows plugins, tags and layouts.

function __transship_complete
    set -l words (commandline -opc)
    set -l program $words[1]
    set -e words[1]
    set -l current (commandline -ct | string unescape)
    set -l answers ($program __complete fish $words "$current" 2>/dev/null)
    if test "$answers[1]" = :files
        set -l flag (string match -r -- '^--[^=]*=' $current)
        set -l path (string replace -- "$flag" '' $current)
        for found in (__fish_complete_path "$path")
            printf '%s\n' "$flag$found"
        end
        return
    end
    printf '%s\n' $answers
end

complete -c transship -f -a '(__transship_complete)'
