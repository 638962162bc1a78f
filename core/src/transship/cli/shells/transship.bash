# Completion of transship for bash. It asks the program itself, so that it knows plugins, tags and layouts.

_transship() {
    local line=${COMP_LINE:0:COMP_POINT} rest word prefix= mark index
    local -a words=() answers=()

    # bash cuts words at colons and equal signs, which stand inside ours: what follows no blank belongs to the last word
    for ((index = 0; index <= COMP_CWORD; index++)); do
        word=${COMP_WORDS[index]}
        rest=${line#"${line%%[![:space:]]*}"}
        if ((${#words[@]} == 0)) || [[ $rest != "$line" || -z $line ]]; then
            words+=("")
        fi
        [[ $rest == "$word"* ]] || word=$rest
        words[${#words[@]} - 1]+=$word
        line=${rest#"$word"}
    done

    while IFS=$'\t' read -r word _; do
        answers+=("$word")
    done < <("${words[0]/#\~\//$HOME/}" __complete bash "${words[@]:1}" 2>/dev/null)

    COMPREPLY=()
    if [[ ${answers[0]-} == :files ]]; then
        compopt -o default 2>/dev/null
        return
    fi
    # readline replaces only what follows the last mark at which it cut
    word=${words[${#words[@]} - 1]}
    if [[ $word != [\"\']* ]]; then
        for mark in : = @; do
            if [[ $COMP_WORDBREAKS == *"$mark"* && $word == *"$mark"* ]]; then
                rest=${word%"${word##*"$mark"}"}
                ((${#rest} <= ${#prefix})) || prefix=$rest
            fi
        done
    fi
    for rest in "${answers[@]}"; do
        if [[ $word != [\"\']* ]]; then
            printf -v rest %q "$rest"
            COMPREPLY+=("${rest#"$prefix"}")
        elif [[ $rest != *[!A-Za-z0-9_./:@=+,\ -]* ]]; then
            COMPREPLY+=("$rest")
        fi
    done
    if ((${#COMPREPLY[@]} == 1)) && [[ ${COMPREPLY[0]} == *[:/=] ]]; then
        compopt -o nospace 2>/dev/null
    fi
}

complete -F _transship transship
