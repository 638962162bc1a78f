#compdef transship
# Completion of transship for zsh. It asks the program itself, so that it knows plugins, tags and layouts.

_transship() {
    local line word
    local -a answers whole whole_shown open open_shown
    answers=("${(@f)$("${(Q)~words[1]}" __complete zsh "${(@Q)words[2,CURRENT-1]}" "${(Q)PREFIX}" 2>/dev/null)}")

    if [[ ${answers[1]} == :files ]]; then
        compset -P '--*='
        _files
        return
    fi
    for line in $answers; do
        word=${line%%$'\t'*}
        [[ $line == *$'\t'* ]] && line="$word -- ${line#*$'\t'}"
        if [[ $word == *[:/=] ]]; then
            open+=("$word") open_shown+=("$line")
        else
            whole+=("$word") whole_shown+=("$line")
        fi
    done
    (( $#whole )) && compadd -l -d whole_shown -- $whole
    (( $#open )) && compadd -S '' -l -d open_shown -- $open
    (( $#whole + $#open ))
}

if [[ $funcstack[1] == _transship ]]; then
    _transship "$@"
else
    (( $+functions[compdef] )) || { autoload -Uz compinit && compinit }
    compdef _transship transship
fi
